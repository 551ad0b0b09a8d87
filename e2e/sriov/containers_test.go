//go:build linux

package sriov

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/nic"
)

// Containers on VFs of real cards, with all of nicferry at work: one lab for all, because
// a boot is dear here. Each part leaves no container, and all VFs as they were.
func TestF30_F31_F34_F37_F38_F39_F40_F41_S6_S12_ContainersOnRealCards(t *testing.T) {
	t.Parallel() // each guest has one processor
	r := up(t)
	for _, part := range []struct {
		name string
		run  func(*rig)
	}{
		{"F40 a VF is given to one taker only", (*rig).oneTaker},
		{"F31 F38 S6 frames with the VF's MAC and VLAN leave, and no others, and what is set by hand is mended", (*rig).ownFramesOnly},
		{"F31 S12 a container that hides and dirties its VF", (*rig).hostile},
		{"F34 F37 VFs that others rename", (*rig).renamed},
		{"F39 the next owner's VF is left alone", (*rig).nextOwner},
		{"F31 F41 a VLAN that was left over is out of the way meanwhile, and no VFs are remade", (*rig).leftover},
		{"F31 S0 a VF goes to a DPDK program in user space", (*rig).drivesVF},
		{"F30 a bond whose container and agent die", (*rig).deaths},
	} {
		ok := t.Run(part.name, func(t *testing.T) {
			p := &rig{Cluster: r.Cluster, t: t, node: r.node}
			p.before = p.settings()
			part.run(p)
			p.allFree()
		})
		if !ok {
			t.Log(r.sh("dmesg | tail -40"))
			t.Log(r.Tails(t.Context()))
			if left := strings.Fields(r.docker("ps", "-aq")); len(left) > 0 {
				r.remove(left...) // for the next part
			}
		}
	}
}

// oneTaker: more containers at once than there are VFs. As many as there are VFs are
// served, each with another one, and the rest are told why not. Network vf200 has two.
func (r *rig) oneTaker() {
	const takers = 6
	var names []string
	var all sync.WaitGroup
	for i := range takers {
		names = append(names, fmt.Sprintf("taker%d", i))
		all.Go(func() {
			if _, err := r.node.Docker(r.t.Context(), on("vf200", names[i], "create")...); err != nil {
				r.t.Error(err)
			}
		})
	}
	all.Wait()
	var ready, refused []string
	r.until("two containers to be served and four refused", func(ctx context.Context) error {
		ready, refused = nil, nil
		for _, name := range names {
			switch claim, err := story.Claim(ctx, r.CLI, name); {
			case err != nil:
				return err
			case claim.Phase == nic.ClaimReady:
				ready = append(ready, name)
			case claim.Phase == nic.ClaimRefused && len(claim.Conditions) > 0 && claim.Conditions[0].Reason == nic.ReasonExhausted:
				refused = append(refused, claim.Conditions[0].Message)
			}
		}
		if len(ready) != 2 || len(refused) != takers-2 {
			return fmt.Errorf("served are %q, refused %q", ready, refused)
		}
		return nil
	})
	r.t.Logf("refused: %s", refused[0])
	if !strings.Contains(refused[0], "VF") {
		r.t.Errorf("nothing is said of VFs: %s", refused[0])
	}
	// What one gives back another gets by itself.
	r.docker("rm", ready[0])
	r.until("the next one to be served", func(ctx context.Context) error {
		for _, name := range names {
			claim, err := story.Claim(ctx, r.CLI, name)
			if err == nil && claim.Phase == nic.ClaimReady && name != ready[1] {
				return nil
			}
		}
		return fmt.Errorf("%s is alone", ready[1])
	})
	r.remove(names[0], names[1], names[2], names[3], names[4], names[5])
}

// ownFramesOnly: the card puts the network's tag on what leaves; a tag of the container's
// own leads nowhere, and the MAC is the claim's. Where somebody sets the container's VF, it
// is found, and put right.
func (r *rig) ownFramesOnly() {
	r.run("web", "vf100", "--cap-add", "NET_ADMIN")
	v := r.functions("web")[0]
	is := r.settings()[v.PF][v.Index]
	if is.MAC != v.Set.MAC || vlan(is) != 100 || !*is.SpoofCheck || *is.Trust {
		r.t.Errorf("the PF has %+v of %s", is, v.PCI)
	}
	addr := r.address("web")
	r.answers("peer100", addr, true)
	if out, err := r.peer("peer100", "ip", "neigh", "show", addr); err != nil || !strings.Contains(out, v.Set.MAC.String()) {
		r.t.Errorf("on the wire %s is %q, %v; want MAC %s", addr, out, err, v.Set.MAC)
	}
	// As if it were on VLAN 200: with a tag, and with none.
	r.docker("exec", "--privileged", "web", "ip", "addr", "add", "10.200.0.7/24", "dev", "eth0")
	r.sh("nsenter -t $(docker inspect --format '{{.State.Pid}}' web) -n sh -ec 'ip link add link eth0 name tag type vlan id 200; ip link set tag up; ip addr add 10.200.0.8/24 dev tag'")
	r.answers("peer200", "10.200.0.7", false)
	r.answers("peer200", "10.200.0.8", false)
	r.answers("peer100", addr, true)
	r.sh("ip link set $(ls /sys/bus/pci/devices/%s/net) vf %d vlan 99 spoofchk off", v.PF, v.Index)
	r.until("the VF to be put right", func(context.Context) error {
		if is := r.settings()[v.PF][v.Index]; vlan(is) != 100 || !*is.SpoofCheck || is.MAC != v.Set.MAC {
			return fmt.Errorf("it is set to %+v", is)
		}
		return nil
	})
	r.answers("peer100", addr, true)
	r.remove("web")
}

// hostile: whatever a container with all rights over its network does to its VF, by name,
// MAC, flags, children and namespaces, it is found, taken back and clean.
func (r *rig) hostile() {
	r.run("web", "vf100", "--privileged")
	r.run("db", "vf", "--privileged")
	r.claim("web", nic.ClaimBound)
	r.claim("db", nic.ClaimBound)
	r.sh("pkill -STOP -x nicferry-agent") // which puts some of it right at once
	r.sh(`nsenter -t $(docker inspect --format '{{.State.Pid}}' web) -n sh -ec '
ip link add link eth0 name child type vlan id 7; ip link add link eth0 name macv type macvlan
ip link set eth0 mtu 1400 promisc on allmulticast on; ip link property add dev eth0 altname lost7
ip link set eth0 down; ip link set eth0 name lost0; ip link set lost0 address 02:00:00:00:00:07 || true; ip link set lost0 up'`)
	// db's goes into a namespace that a process of it holds.
	r.sh(`pid=$(docker inspect --format '{{.State.Pid}}' db)
docker exec -d db unshare -n sleep 300
until inner=$(pgrep -nx sleep) && [ "$(readlink /proc/$inner/ns/net)" != "$(readlink /proc/$pid/ns/net)" ]; do sleep 0.1; done
nsenter -t $pid -n ip link set eth0 netns $inner name hidden0`)
	r.docker("kill", "web", "db")
	r.sh("pkill -CONT -x nicferry-agent")
	start := time.Now()
	r.remove("web", "db")
	r.t.Logf("both VFs are back %s after the agent could see that their containers were killed", time.Since(start).Round(10*time.Millisecond))
	if out := r.sh("ip -d link show"); strings.Contains(out, "lost0") || strings.Contains(out, "hidden0") || strings.Contains(out, "mtu 1400") || strings.Contains(out, "altname lost7") {
		r.t.Errorf("they are not clean:\n%s", out)
	}
}

// renamed: names that VFs have or get on the host, of the container's interface too, are
// in nobody's way: a VF is known by its place on the bus.
func (r *rig) renamed() {
	// The two of network vf, which are number 3 on their cards, swap names, and one has
	// the name that it shall have in the container.
	r.sh(`a=$(ls /sys/bus/pci/devices/0000:01:10.6/net) b=$(ls /sys/bus/pci/devices/0000:02:10.6/net)
ip link set $a down; ip link set $b down
ip link set $a name swap; ip link set $b name $a; ip link set swap name $b
ip link property add dev $a altname late; ip link set $a address 02:00:00:00:37:00 || true`)
	r.before = r.settings() // a VF that no PF has given a MAC yet takes that one
	r.run("web", "vf")
	r.run("db", "vf")
	for _, name := range []string{"web", "db"} {
		v := r.functions(name)[0]
		if got := r.docker("exec", name, "cat", "/sys/class/net/eth0/address"); got != v.Set.MAC.String() {
			r.t.Errorf("%s has MAC %s, want %s", name, got, v.Set.MAC)
		}
		r.answers("peer", r.address(name), true)
	}
	r.remove("web", "db")
}

// nextOwner: one container goes while the next one waits for its VF, and nothing of the
// first one's end is done to the second one's VF.
func (r *rig) nextOwner() {
	r.run("last", "vf200")
	r.docker(on("vf200", "other", "create")...)
	first := r.functions("last")[0]
	r.claim("other", nic.ClaimReady)
	r.run("next", "vf200") // there are two
	r.claim("next", nic.ClaimRefused)
	r.docker("rm", "-f", "last")
	v := r.functions("next")[0]
	if v.PCI != first.PCI || v.Set.MAC == first.Set.MAC {
		r.t.Errorf("the next one has %+v, the last one had %+v", v, first)
	}
	for range 5 {
		if is := r.settings()[v.PF][v.Index]; is.MAC != v.Set.MAC || vlan(is) != 200 {
			r.t.Fatalf("the next one's VF is set to %+v", is)
		}
		time.Sleep(500 * time.Millisecond) // for whatever comes late
	}
	r.answers("peer200", r.address("next"), true)
	r.remove("next", "other")
}

// leftover: the VFs carry somebody's VLAN, and the network has none. The container's frames
// leave without, and the next one finds the VF as it was. The number of VFs is not changed
// while the container has one.
func (r *rig) leftover() {
	tag := func(vlan int) { // both of network vf, of which either may be taken
		for _, card := range cluster.Cards {
			r.sh("ip link set $(ls /sys/bus/pci/devices/%s/net) vf 3 vlan %d", card, vlan)
		}
	}
	untagged := r.before
	tag(7)
	r.before = r.settings()
	r.run("web", "vf")
	v := r.functions("web")[0]
	if is := r.settings()[v.PF][v.Index]; vlan(is) != 0 || vlan(r.before[v.PF][v.Index]) != 7 {
		r.t.Errorf("VF %s is set to %+v, and was to %+v", v.PCI, is, r.before[v.PF][v.Index])
	}
	h := &host{Client: r.node.Client, t: r.t, bin: cluster.GuestBin}
	h.want(4, "is in use by container", "enable", v.PF, "--vfs", "4")
	r.answers("peer", r.address("web"), true)
	r.remove("web")
	r.allFree()
	tag(0)
	r.before = untagged
}

// deaths: the agent dies, and then the container of a bond, before the next agent comes.
func (r *rig) deaths() {
	r.run("web", "bond100")
	members := r.functions("web")
	if len(members) != 2 || members[0].PF == members[1].PF || members[0].Index != members[1].Index {
		r.t.Fatalf("the bond is of %+v", members)
	}
	r.answers("peer100", r.address("web"), true)
	must(r.t, r.node.KillAgent(r.t.Context()))
	r.docker("kill", "web")
	must(r.t, r.node.StartAgent(r.t.Context()))
	r.remove("web")
}
