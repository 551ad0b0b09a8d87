//go:build linux

package cloudrig

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/nic"
)

// ContainersShareAnInterface, each with an address of its own: the second one
// starts without a call that changes something. One goes, and the agent dies, without
// the other's noticing; the interface goes with the last one. Where the kernel has no
// ipvlan the same is so in the cloud and in the records, and the user is told what the
// node lacks.
func (w World) ContainersShareAnInterface(t *testing.T) {
	t.Parallel()
	r := w.Start(t, Options{Type: w.Vendor.Type, Networks: func(r *Rig) string { return r.Network("shared", "mode: shared") }})
	vm1 := r.Agents[0]
	mark := r.Mark()
	r.Run(vm1, "one", "shared")
	one := r.seatOf("one")
	t.Logf("a cold start: %v", r.Effects(mark))
	mark = r.Mark()
	r.Run(vm1, "two", "shared")
	two := r.seatOf("two")
	if did := r.Effects(mark); len(did) > 0 {
		t.Errorf("the second start: %v", did)
	}
	eni := r.sharedBy(one, two)
	if out := r.Tell("describe", "node", vm1.Name); !strings.Contains(out, "2 taken") {
		t.Errorf("the node is described as:\n%s", out)
	}
	if !r.ipvlan() {
		r.Says("one", "ipvlan: install the node's kernel modules")
	}
	r.talks(vm1, "one", one, two)
	r.talks(vm1, "two", two, one)

	r.Must(vm1.Kill(t.Context()))
	r.talks(vm1, "two", two, one)
	r.Must(vm1.Start(t.Context()))
	_, err := vm1.Docker(t.Context(), "rm", "-f", "one")
	r.Must(err)
	r.Await("its claim to be gone", func() bool { return !strings.Contains(r.Tell("get", "claims"), "one") })
	r.talks(vm1, "two", two)
	if left := r.seatOf("two"); left.NIC != two.NIC || r.sharedBy(left).ID != eni.ID {
		t.Errorf("the one that stays has %+v, had %+v", left, two)
	}
	mark = r.Mark()
	r.Remove(vm1, "two", eni)
	if did := r.Effects(mark); did[vendors.Delete] != 1 || did[vendors.Detach] != 1 {
		t.Errorf("the last one's end: %v", did)
	}
}

// seatOf is the claim of a container, once it has its address.
func (r *Rig) seatOf(container string) (claim nic.Claim) {
	r.T.Helper()
	r.Must(fleet.Until(r.T.Context(), "an address for "+container, func() error {
		out, err := r.CLI(r.T.Context(), "get", "claims", "-o", "json")
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
func (r *Rig) sharedBy(claims ...nic.Claim) cloudsim.Interface {
	r.T.Helper()
	all := r.Ours()
	if len(all) != 1 || all[0].Attachment == nil || all[0].Attachment.Status != cloudsim.Attached || len(all[0].IPv4) != 15 {
		r.T.Fatalf("the cloud has %+v", all)
	}
	has := map[netip.Addr]bool{}
	for _, a := range all[0].IPv4 {
		has[a.Addr] = !a.Primary
	}
	for _, c := range claims {
		if addr := c.Identity.Addrs[0].Addr(); !has[addr] {
			r.T.Errorf("%s has %s; the interface has %+v", c.Container, addr, all[0].IPv4)
		} else {
			has[addr] = false // nobody else's
		}
	}
	return all[0]
}

// ipvlan says whether the kernel has it.
func (r *Rig) ipvlan() bool {
	ctx := r.T.Context()
	_, err := r.Machine.Run(ctx, "ip", "-n", vpcSpace, "link", "add", "probe", "link", vpcSwitch, "type", "ipvlan")
	if err != nil {
		return !strings.Contains(err.Error(), "Unknown device type") && !strings.Contains(err.Error(), "not supported")
	}
	_, err = r.Machine.Run(ctx, "ip", "-n", vpcSpace, "link", "del", "probe")
	r.Must(err)
	return true
}

// talks wants a container to be reached under its address, and to reach the others and
// the router, and not the metadata service. Without ipvlan it has no interface.
func (r *Rig) talks(a *fleet.Agent, container string, its nic.Claim, others ...nic.Claim) {
	r.T.Helper()
	if !r.ipvlan() {
		return
	}
	ctx := r.T.Context()
	addr, err := a.AwaitAddress(ctx, container)
	r.Must(err)
	if addr != its.Identity.Addrs[0].Addr() {
		r.T.Errorf("%s has %s, want %s", container, addr, its.Identity.Addrs[0])
	}
	_, err = r.Machine.Run(ctx, "ip", "netns", "exec", vpcSpace, "ping", "-c", "1", "-W", "5", addr.String())
	r.Must(err)
	targets := []string{r.Vendor.Gateway(r.About.Subnets[0]).String()}
	for _, o := range others {
		targets = append(targets, o.Identity.Addrs[0].Addr().String())
	}
	for _, to := range slices.Compact(targets) {
		_, err := a.Docker(ctx, "exec", container, "ping", "-c", "1", "-W", "5", to)
		r.Must(err)
	}
	if out, err := a.Docker(ctx, "exec", container, "ping", "-c", "1", "-W", "1", r.Vendor.Metadata); err == nil {
		r.T.Errorf("%s reaches the metadata service: %s", container, out)
	}
}
