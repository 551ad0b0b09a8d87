//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// furtherNetworks are one for each thing that a port can be, but for the lab's
// own two. Those on the LAN get their addresses from its DHCP server.
const furtherNetworks = `
  - {name: by-libvirt, provider: vms, addressing: dhcp, port: {network: lan-net}}
  - {name: direct, provider: vms, addressing: dhcp, port: {macvtap: parent0}}
  - {name: intel, provider: vms, addressing: dhcp, port: {bridge: lan0, model: e1000e}}
  - {name: queues, provider: vms, addressing: dhcp, port: {bridge: lan0, queues: 2}}
  - {name: small, provider: vms, addressing: dhcp, mtu: 1400, port: {bridge: lan0}}
  - {name: filtered, provider: vms, addressing: dhcp, port: {bridge: lan0, filter: clean-traffic}}
  - {name: shaped, provider: vms, addressing: dhcp, port: {bridge: lan0, inbound: {average: 1000}, outbound: {average: 1000}}}
  - name: tagged
    provider: vms
    addressing: ipam
    port: {ovs: ovs0, vlan: 100}
    subnets: [{prefix: 10.88.0.0/24, ranges: [10.88.0.100-10.88.0.199]}]
`

// reconfigure gives the controller further networks until the test ends.
func (r *rig) reconfigure(networks string) {
	r.t.Helper()
	path := filepath.Join(r.Host().Dir(), "nicferryd.yaml")
	before, err := os.ReadFile(path)
	r.must(err)
	set := func(ctx context.Context, config []byte) error {
		if err := os.WriteFile(path, config, 0o600); err != nil {
			return err
		}
		return errors.Join(r.KillController(ctx), r.StartController(ctx))
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		// Their containers first: a claim of a network that is gone stays.
		err := r.clear(ctx)
		if err == nil {
			err = await(ctx, "the lab to be as it was", endTime, r.leftovers)
		}
		if err := errors.Join(err, set(ctx, before)); err != nil {
			r.t.Error(err)
		}
	})
	r.must(set(r.t.Context(), append(before, networks...)))
}

// script runs lines of commands on the host, and others when the test ends.
func (r *rig) script(do, undo string) {
	r.t.Helper()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := r.Host().Run(ctx, "sh", "-c", undo); err != nil {
			r.t.Error(err)
		}
	})
	r.host("sh", "-ec", do)
}

// openVSwitch makes the bridge ovs0 of a switch in user space, with a peer of
// the same address range in VLAN 100, and one in VLAN 200.
func (r *rig) openVSwitch() {
	r.t.Helper()
	dir := r.t.TempDir()
	r.script("mkdir -p /run/openvswitch; ovsdb-tool create "+dir+"/db /usr/share/openvswitch/vswitch.ovsschema", "rm -rf /run/openvswitch")
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(r.Host().Kill(ctx, "ovs-vswitchd"), r.Host().Kill(ctx, "ovsdb-server")); err != nil {
			r.t.Error(err)
		}
	})
	r.must(r.Host().Launch(r.t.Context(), lab.Program{Name: "ovsdb-server", Args: []string{
		"ovsdb-server", "--remote=punix:/run/openvswitch/db.sock", dir + "/db",
	}}))
	r.until("ovsdb-server to serve", patience, func(ctx context.Context) error {
		_, err := r.Host().Run(ctx, "ovs-vsctl", "--timeout=5", "--no-wait", "init")
		return err
	})
	r.must(r.Host().Launch(r.t.Context(), lab.Program{Name: "ovs-vswitchd", Args: []string{"ovs-vswitchd", "--pidfile", "unix:/run/openvswitch/db.sock"}}))
	r.script("ovs-vsctl --timeout=30 add-br ovs0 -- set bridge ovs0 datapath_type=netdev", "ovs-vsctl --timeout=30 del-br ovs0")
	for vlan, addr := range map[string]string{"100": "10.88.0.1/24", "200": "10.88.0.2/24"} {
		r.script(strings.NewReplacer("VLAN", vlan, "ADDR", addr).Replace(`ip netns add vlanVLAN
ip link add peerVLAN type veth peer name eth0 netns vlanVLAN
ip -n vlanVLAN addr add ADDR dev eth0
ip -n vlanVLAN link set eth0 up
ip link set peerVLAN up
ovs-vsctl --timeout=30 add-port ovs0 peerVLAN tag=VLAN`),
			"ip netns del vlan"+vlan+"; ip link del peer"+vlan+" 2>/dev/null; true")
	}
}

// switches makes what furtherNetworks plug into.
func (r *rig) switches() {
	r.t.Helper()
	xml := filepath.Join(r.t.TempDir(), "network.xml")
	r.must(os.WriteFile(xml, []byte("<network><name>lan-net</name><forward mode='bridge'/><bridge name='lan0'/></network>"), 0o600))
	virsh := "virsh -c '" + r.Host().URI() + "' "
	r.script(virsh+"net-define "+xml+"; "+virsh+"net-start lan-net", virsh+"net-destroy lan-net; "+virsh+"net-undefine lan-net")
	r.script("ip link add parent0 type veth peer name parent1; ip link set parent1 master lan0 up; ip link set parent0 up", "ip link del parent0")
	r.openVSwitch()
}

// card is the one live card of the network in vm1.
func (r *rig) card(network string) virt.Interface {
	r.t.Helper()
	live, _ := r.cards("vm1")
	mac := r.claimed(network, nic.ClaimBound).Identity.MAC
	for _, c := range live {
		if c.MAC == mac {
			return c
		}
	}
	r.t.Fatalf("vm1 has no card with MAC %s: %+v", mac, live)
	return virt.Interface{}
}

// in runs a script in a container of vm1.
func (r *rig) in(container, script string) string {
	r.t.Helper()
	return r.docker(r.node(1), "exec", container, "sh", "-ec", script)
}

// Each kind of port, in a real guest.
func TestPorts(t *testing.T) {
	all := use(t)
	all.switches()
	all.reconfigure(furtherNetworks)
	n := all.node(1)
	ports := []struct {
		network string
		look    func(*rig, virt.Interface, card)
	}{
		{"by-libvirt", func(r *rig, v virt.Interface, c card) {
			if v.Port.Kind != nic.PortNetwork || v.Port.Name != "lan-net" {
				r.t.Errorf("the card is plugged into %s", v.Port)
			}
			r.pings(c.Addr.Addr())
		}},
		{"direct", func(r *rig, v virt.Interface, c card) {
			if v.Port.Kind != nic.PortMacvtap || v.Port.Name != "parent0" {
				r.t.Errorf("the card is plugged into %s", v.Port)
			}
			r.pings(c.Addr.Addr())
		}},
		{"intel", func(r *rig, _ virt.Interface, c card) {
			if driver := r.in("intel", "basename $(readlink /sys/class/net/eth0/device/driver)"); driver != "e1000e" {
				r.t.Errorf("the driver is %q", driver)
			}
			r.pings(c.Addr.Addr())
		}},
		{"queues", func(r *rig, v virt.Interface, c card) {
			// VIRTIO_NET_F_MQ is bit 22. How many queues a guest uses is a matter of its processors.
			if bits := r.in("queues", "cat /sys/class/net/eth0/device/features"); v.Port.Queues != 2 || len(bits) < 23 || bits[22] != '1' {
				r.t.Errorf("the card has %d queues, and its features are %s", v.Port.Queues, bits)
			}
			r.pings(c.Addr.Addr())
		}},
		{"small", func(r *rig, v virt.Interface, c card) {
			if mtu := r.in("small", "cat /sys/class/net/eth0/mtu"); v.MTU != 1400 || mtu != "1400" {
				r.t.Errorf("the card's MTU is %d, and %s in the container", v.MTU, mtu)
			}
			r.pings(c.Addr.Addr())
		}},
		{"tagged", looksTagged},
		{"filtered", looksFiltered},
	}
	for _, p := range ports {
		t.Run(p.network, func(t *testing.T) {
			r := &rig{all.Cluster, t}
			r.run(n, p.network, "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--label", "nicferry.network="+p.network)
			c := r.eth0(n, p.network)
			p.look(r, r.card(p.network), c)
		})
	}
	t.Run("shaped", func(t *testing.T) { looksShaped(&rig{all.Cluster, t}) })
	t.Run("link", func(t *testing.T) { looksDown(&rig{all.Cluster, t}, "small") })
}

// looksTagged: the container's frames are in VLAN 100 and in no other.
func looksTagged(r *rig, v virt.Interface, c card) {
	if v.Port.Kind != nic.PortOVS || v.Port.VLAN != 100 {
		r.t.Errorf("the card is plugged into %s", v.Port)
	}
	const ping = "ping -c 3 -W 2 "
	r.in("tagged", ping+"10.88.0.1")
	if out := r.in("tagged", ping+"10.88.0.2 || true"); !strings.Contains(out, "100% packet loss") {
		r.t.Errorf("a peer in VLAN 200 answers:\n%s", out)
	}
	r.until("the switch to have learnt the MAC in VLAN 100", patience, func(ctx context.Context) error {
		out, err := r.Host().Run(ctx, "ovs-appctl", "fdb/show", "ovs0")
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) > 2 && f[1] == "100" && f[2] == c.MAC {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("it knows\n%s", out))
	})
}

// looksFiltered (S6): what a container sends under a foreign address reaches
// nobody.
func looksFiltered(r *rig, v virt.Interface, c card) {
	if v.Port.Filter != "clean-traffic" {
		r.t.Errorf("the card's filter is %q", v.Port.Filter)
	}
	r.pings(c.Addr.Addr())
	router := "10.77.0.1"
	lost := func(what, prepare, undo string, args string) {
		r.t.Helper()
		r.in("filtered", prepare)
		if out := r.in("filtered", "ping -c 3 -W 2 "+args+" || true"); !strings.Contains(out, "100% packet loss") {
			r.t.Errorf("under a foreign %s the router answers:\n%s", what, out)
		}
		r.in("filtered", undo)
	}
	// On lo, because the agent takes what it has not set from eth0.
	lost("IP address", "ip addr add 10.77.0.66/32 dev lo", "ip addr del 10.77.0.66/32 dev lo", "-I 10.77.0.66 "+router)
	lost("MAC", "ip link set eth0 address 02:00:00:00:00:66", "ip link set eth0 address "+c.MAC, router)
	out := r.lan("ip", "neigh")
	if strings.Contains(out, "10.77.0.66") || strings.Contains(out, "02:00:00:00:00:66") {
		r.t.Errorf("the router has heard of foreign addresses:\n%s", out)
	}
	r.pings(c.Addr.Addr())
}

// looksShaped: limits are in the card's definition, or the claim says why the
// host cannot have them and nothing is made.
func looksShaped(r *rig) {
	r.run(r.node(1), "shaped", "--label", "nicferry.network=shaped")
	shaped := false
	r.until("the card with limits, or a word why not", patience, func(ctx context.Context) error {
		c, err := r.claim(ctx, "shaped")
		if err != nil {
			return err
		}
		said := fmt.Sprint(c.Conditions)
		shaped = c.Phase == nic.ClaimBound
		if !shaped && !(strings.Contains(said, "ProviderError") && strings.Contains(said, "tc ")) {
			return fmt.Errorf("the claim is %s: %s", c.Phase, said)
		}
		r.t.Logf("limits: %s %s", c.Phase, said)
		return nil
	})
	live, stored := r.cards("vm1")
	have := 0
	for _, c := range append(live, stored...) {
		if c.Port.Inbound.Average == 1000 && c.Port.Outbound.Average == 1000 {
			have++
		}
	}
	if want := map[bool]int{true: 2, false: 0}[shaped]; have != want {
		r.t.Errorf("%d definitions have the card with its limits, want %d", have, want)
	}
}

// looksDown: the container sees the link's state as its hypervisor sets it.
func looksDown(r *rig, container string) {
	v := r.card(container)
	for _, state := range []string{"down", "up"} {
		r.virsh("domif-setlink", "vm1", v.MAC.String(), state)
		want := map[string]string{"down": "0", "up": "1"}[state]
		r.until("the link to be "+state, patience, func(ctx context.Context) error {
			got, err := r.node(1).Docker(ctx, "exec", container, "cat", "/sys/class/net/eth0/carrier")
			if err == nil && got != want {
				err = fmt.Errorf("its carrier is %s", got)
			}
			return err
		})
	}
	r.pings(r.eth0(r.node(1), container).Addr.Addr())
}
