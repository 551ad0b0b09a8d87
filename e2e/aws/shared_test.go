//go:build linux

package aws

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// Two containers share an interface, each with an address of its own: the second one
// starts without a call that changes something. One goes, and the agent dies, without
// the other's noticing; the interface goes with the last one. Where the kernel has no
// ipvlan the same is so in the cloud and in the records, and the user is told what the
// node lacks.
func TestContainersShareAnInterface(t *testing.T) {
	t.Parallel()
	r := start(t, options{kind: "m5.xlarge", networks: func(r *rig) string {
		return strings.Replace(r.network("shared", "cloud"), "]}", "], mode: shared}", 1)
	}})
	vm1 := r.Agents[0]
	mark := r.mark()
	r.run(vm1, "one", "shared")
	one := r.seatOf("one")
	t.Logf("a cold start: %v", r.effects(mark))
	mark = r.mark()
	r.run(vm1, "two", "shared")
	two := r.seatOf("two")
	if did := r.effects(mark); len(did) > 0 {
		t.Errorf("the second start: %v", did)
	}
	eni := r.sharedBy(one, two)
	if out := r.cli("describe", "node", vm1.Name); !strings.Contains(out, "2 taken") {
		t.Errorf("the node is described as:\n%s", out)
	}
	if !r.ipvlan() {
		r.says("one", "ipvlan: install the node's kernel modules")
	}
	r.talks(vm1, "one", one, two)
	r.talks(vm1, "two", two, one)

	r.do(vm1.Kill(t.Context()))
	r.talks(vm1, "two", two, one)
	r.do(vm1.Start(t.Context()))
	_, err := vm1.Docker(t.Context(), "rm", "-f", "one")
	r.do(err)
	r.await("its claim to be gone", func() bool { return !strings.Contains(r.cli("get", "claims"), "one") })
	r.talks(vm1, "two", two)
	if left := r.seatOf("two"); left.NIC != two.NIC || r.sharedBy(left).ID != eni.ID {
		t.Errorf("the one that stays has %+v, had %+v", left, two)
	}
	mark = r.mark()
	r.remove(vm1, "two", eni)
	if did := r.effects(mark); did["DeleteNetworkInterface"] != 1 || did["DetachNetworkInterface"] != 1 {
		t.Errorf("the last one's end: %v", did)
	}
}

// seatOf is the claim of a container, once it has its address.
func (r *rig) seatOf(container string) (claim nic.Claim) {
	r.t.Helper()
	r.do(fleet.Until(r.t.Context(), "an address for "+container, func() error {
		out, err := r.CLI(r.t.Context(), "get", "claims", "-o", "json")
		if err != nil {
			return err
		}
		var list struct{ Items []nic.Claim }
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return err
		}
		for _, c := range list.Items {
			if c.Container == container && len(c.Identity.Addrs) > 0 {
				claim = c
				return nil
			}
		}
		return fmt.Errorf("the claims are:\n%s", out)
	}))
	return claim
}

// sharedBy wants one interface of the cloud's to have the addresses of all of them,
// besides its first, and as many as its type has; and returns it.
func (r *rig) sharedBy(claims ...nic.Claim) cloudsim.Interface {
	r.t.Helper()
	all := r.ours()
	if len(all) != 1 || all[0].Attachment == nil || all[0].Attachment.Status != cloudsim.Attached || len(all[0].IPv4) != 15 {
		r.t.Fatalf("the cloud has %+v", all)
	}
	has := map[netip.Addr]bool{}
	for _, a := range all[0].IPv4 {
		has[a.Addr] = !a.Primary
	}
	for _, c := range claims {
		if addr := c.Identity.Addrs[0].Addr(); !has[addr] {
			r.t.Errorf("%s has %s; the interface has %+v", c.Container, addr, all[0].IPv4)
		} else {
			has[addr] = false // nobody else's
		}
	}
	return all[0]
}

// ipvlan says whether the kernel has it.
func (r *rig) ipvlan() bool {
	ctx := r.t.Context()
	_, err := r.Machine.Run(ctx, "ip", "-n", vpcSpace, "link", "add", "probe", "link", vpcSwitch, "type", "ipvlan")
	if err != nil {
		return !strings.Contains(err.Error(), "Unknown device type") && !strings.Contains(err.Error(), "not supported")
	}
	_, err = r.Machine.Run(ctx, "ip", "-n", vpcSpace, "link", "del", "probe")
	r.do(err)
	return true
}

// talks wants a container to be reached under its address, and to reach the others and
// the router, and not the metadata service. Without ipvlan it has no interface.
func (r *rig) talks(a *fleet.Agent, container string, its nic.Claim, others ...nic.Claim) {
	r.t.Helper()
	if !r.ipvlan() {
		return
	}
	ctx := r.t.Context()
	addr, err := a.AwaitAddress(ctx, container)
	r.do(err)
	if addr != its.Identity.Addrs[0].Addr() {
		r.t.Errorf("%s has %s, want %s", container, addr, its.Identity.Addrs[0])
	}
	_, err = r.Machine.Run(ctx, "ip", "netns", "exec", vpcSpace, "ping", "-c", "1", "-W", "5", addr.String())
	r.do(err)
	targets := []string{its.Identity.Addrs[0].Masked().Addr().Next().String()}
	for _, o := range others {
		targets = append(targets, o.Identity.Addrs[0].Addr().String())
	}
	for _, to := range slices.Compact(targets) {
		_, err := a.Docker(ctx, "exec", container, "ping", "-c", "1", "-W", "5", to)
		r.do(err)
	}
	if out, err := a.Docker(ctx, "exec", container, "ping", "-c", "1", "-W", "1", "169.254.169.254"); err == nil {
		r.t.Errorf("%s reaches the metadata service: %s", container, out)
	}
}
