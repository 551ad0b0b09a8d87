//go:build linux

package sriov

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/guest/guesttest"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A rig is a lab whose one guest plays a physical host, with a controller, an agent and
// an engine, in the hands of one test.
type rig struct {
	*cluster.Cluster
	t    *testing.T
	node *cluster.Node
	// before are the fields that the PFs have of the VFs before any container's.
	before map[string]map[int]nic.VFSettings
}

const labPrefix = "nicferry-sriov-"

// up brings the lab up, which goes with the test.
func up(t *testing.T) *rig {
	t.Helper()
	netnstest.RequireRoot(t)
	must(t, sweep())
	home, err := os.MkdirTemp("", labPrefix+strconv.Itoa(os.Getpid())+"-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(home)) })
	bin, dir := filepath.Join(home, "bin"), filepath.Join(home, "lab")
	must(t, labtest.BuildForVMs(filepath.Join("..", ".."), bin))
	c, err := cluster.Up(t.Context(), cluster.Options{
		Dir: dir, Nodes: 1, Ports: 1, Bin: bin, Program: filepath.Join(bin, "nicferry-lab"),
		Metal: &cluster.Metal{VFs: cluster.MaxVFs},
	})
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(c.Close(), cluster.Down(context.Background(), dir))) })
	return &rig{Cluster: c, t: t, node: c.Nodes()[0]}
}

// sweep takes down what killed runs have left.
func sweep() error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), labPrefix+"*"))
	if err != nil {
		return err
	}
	for _, home := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(home), labPrefix), "-")
		if _, err := os.Stat(filepath.Join("/proc", pid)); err == nil {
			continue
		}
		if err := errors.Join(cluster.Down(context.Background(), filepath.Join(home, "lab")), os.RemoveAll(home)); err != nil {
			return fmt.Errorf("sweep %s: %w", home, err)
		}
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sh runs a script on the physical host.
func (r *rig) sh(format string, args ...any) string {
	r.t.Helper()
	return guesttest.Sh(r.t, r.node.Client, format, args...)
}

func (r *rig) docker(args ...string) string {
	r.t.Helper()
	out, err := r.node.Docker(r.t.Context(), args...)
	must(r.t, err)
	return out
}

// Until which a NIC is in its container, or gone from it.
const wait = 2 * time.Minute

func (r *rig) until(what string, ask func(context.Context) error) {
	r.t.Helper()
	must(r.t, lab.Until(r.t.Context(), what, wait, 100*time.Millisecond, ask))
}

// run starts a container on a network. It is not waited for. Args are docker's.
func (r *rig) run(name, network string, args ...string) {
	r.t.Helper()
	r.docker(on(network, name, append([]string{"run", "-d"}, args...)...)...)
}

// on is docker's arguments for a container on a network; verb is as story.Create has it.
func on(network, name string, verb ...string) []string {
	return story.Create(lab.ImageName, name, []string{"nicferry.network=" + network}, verb...)
}

// claim waits until the container's claim is as it shall be.
func (r *rig) claim(container string, phase nic.ClaimPhase) api.ClaimView {
	r.t.Helper()
	var claim api.ClaimView
	r.until(container+" to be "+string(phase), func(ctx context.Context) (err error) {
		claim, err = story.Claim(ctx, r.CLI, container)
		if err == nil && claim.Phase != phase {
			err = fmt.Errorf("it is %s: %v", claim.Phase, claim.Conditions)
		}
		return err
	})
	return claim
}

// functions are the VFs that the container's NIC is made of.
func (r *rig) functions(container string) []nic.VF {
	r.t.Helper()
	claim := r.claim(container, nic.ClaimBound)
	out, err := r.CLI(r.t.Context(), "get", "nics", "-o", "json")
	must(r.t, err)
	var all api.List[api.NICView]
	must(r.t, json.Unmarshal([]byte(out), &all))
	for _, n := range all.Items {
		switch d := n.Spec.Device; {
		case n.ID != claim.NIC:
		case d.Kind == nic.Bonded:
			return d.Bond.Members
		case d.Kind == nic.SRIOV:
			return []nic.VF{d.VF}
		}
	}
	r.t.Fatalf("%s has no VF in %s", container, out)
	return nil
}

// settings are what iproute2 shows of the VFs, by PF and number.
func (r *rig) settings() map[string]map[int]nic.VFSettings {
	r.t.Helper()
	all := map[string]map[int]nic.VFSettings{}
	for _, card := range cluster.Cards {
		var links []struct {
			VFs []struct {
				VF    int     `json:"vf"`
				MAC   nic.MAC `json:"address"`
				VLANs []struct {
					VLAN, QoS int
				} `json:"vlan_list"`
				SpoofCheck bool `json:"spoofchk"`
				Trust      bool `json:"trust"`
			} `json:"vfinfo_list"`
		}
		out := r.sh("ip -j -d link show dev $(ls /sys/bus/pci/devices/%s/net)", card)
		must(r.t, json.Unmarshal([]byte(out), &links))
		all[card] = map[int]nic.VFSettings{}
		for _, v := range links[0].VFs {
			s := nic.VFSettings{MAC: v.MAC, SpoofCheck: &v.SpoofCheck, Trust: &v.Trust}
			if len(v.VLANs) > 0 && v.VLANs[0].VLAN != 0 {
				s.VLAN = &nic.VFVLAN{ID: v.VLANs[0].VLAN, QoS: v.VLANs[0].QoS}
			}
			all[card][v.VF] = s
		}
	}
	return all
}

// vlan is the tag that the card puts on frames of a VF; 0 is none.
func vlan(s nic.VFSettings) int {
	if s.VLAN == nil {
		return 0
	}
	return s.VLAN.ID
}

// remove removes containers, and waits until all of them have given their NICs back.
func (r *rig) remove(containers ...string) {
	r.t.Helper()
	if len(containers) > 0 {
		r.docker(append([]string{"rm", "-f"}, containers...)...)
	}
	r.until("all NICs to be given back", func(ctx context.Context) error {
		out, err := r.CLI(ctx, "get", "claims", "-o", "name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("there are %s", strings.Fields(out))
		}
		return err
	})
}

// peer runs a command on a host beside the physical one.
func (r *rig) peer(name string, args ...string) (string, error) {
	return r.Host().Run(r.t.Context(), "ip", append([]string{"netns", "exec", name}, args...)...)
}

// answers demands that the container's address answers a peer, or that it does not.
func (r *rig) answers(peer, addr string, want bool) {
	r.t.Helper()
	out, err := r.peer(peer, "ping", "-c", "3", "-i", "0.3", "-W", "2", addr)
	if (err == nil) != want {
		r.t.Errorf("%s pings %s: %v, want an answer: %t\n%s", peer, addr, err, want, out)
	}
}

// address is the container's first one.
func (r *rig) address(container string) string {
	r.t.Helper()
	return r.claim(container, nic.ClaimBound).Identity.Addrs[0].Addr().String()
}

// allFree demands that every VF is home, free, down, and set as before any container's,
// and that store, provider and node say the same.
func (r *rig) allFree() {
	r.t.Helper()
	list := r.sh("%s/nicferry-agent sriov list", cluster.GuestBin)
	if n := strings.Count(list, " free"); n != len(cluster.Cards)*cluster.MaxVFs {
		r.t.Errorf("%d VFs are free:\n%s", n, list)
	}
	now := r.settings()
	for _, card := range cluster.Cards {
		for n := range cluster.MaxVFs {
			is, was := now[card][n], r.before[card][n]
			if is.MAC != was.MAC || vlan(is) != vlan(was) || *is.SpoofCheck != *was.SpoofCheck || *is.Trust != *was.Trust {
				r.t.Errorf("VF %d of %s is %+v, and was %+v", n, card, is, was)
			}
		}
	}
	if out := r.sh("ip -o link show up"); slices.ContainsFunc(strings.Split(out, "\n"), func(l string) bool { return strings.Contains(l, ": VF") }) {
		r.t.Errorf("a VF is up:\n%s", out)
	}
	if out, err := r.CLI(r.t.Context(), "audit"); err != nil {
		r.t.Errorf("audit: %v\n%s", err, out)
	}
}
