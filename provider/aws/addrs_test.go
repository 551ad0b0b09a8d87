package aws

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

func addrPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// has says whether the NIC has the addresses, by EC2.
func (w *world) has(nid nic.ID, addrs ...netip.Addr) bool {
	w.Helper()
	all, err := w.Get(w.Context(), nid)
	w.must(err)
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(all[nid].Addrs, a) })
}

func TestAssign(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		for n := range 3 {
			w.created(id(n))
		}
		ctx, moving := t.Context(), texted("10.80.0.100", "fd80::100")
		for range 2 { // the second time is the same
			w.must(w.Assign(ctx, id(0), moving, ""))
		}
		if !w.has(id(0), moving...) {
			t.Error("not assigned")
		}
		for name, from := range map[string]nic.ID{"no NIC": "", "another NIC": id(2), "no such NIC": id(9)} {
			if err := w.Assign(ctx, id(1), moving[:1], from); !errors.Is(err, provider.ErrElsewhere) || w.has(id(1), moving[0]) {
				t.Errorf("taken from %s: %v; want elsewhere", name, err)
			}
		}
		for range 2 {
			w.must(w.Assign(ctx, id(1), moving, id(0)))
		}
		if !w.has(id(1), moving...) || w.has(id(0), moving[0]) || w.has(id(0), moving[1]) {
			t.Error("not moved")
		}
		own := w.until(id(1), nic.StateAvailable).Addrs[0]
		if err := w.Unassign(ctx, id(1), []netip.Addr{own}); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("the first address: %v; want invalid", err)
		}
		if err := w.Assign(ctx, id(0), []netip.Addr{own}, id(1)); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("another's first address: %v; want invalid", err)
		}
		for range 2 {
			w.must(w.Unassign(ctx, id(1), moving))
		}
		if w.has(id(1), moving[0]) || w.has(id(1), moving[1]) {
			t.Error("not taken")
		}
		if err := w.Assign(ctx, id(9), moving, ""); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("%v; want not found", err)
		}
		if err := w.Unassign(ctx, id(9), moving); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("%v; want not found", err)
		}
	})
}

// TestAssignLostReplies: named addresses are the same, however often asked for.
func TestAssignLostReplies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.created(id(0))
		w.created(id(1))
		addrs := texted("10.80.0.100", "10.80.0.101", "fd80::100")
		for _, action := range []string{apiAssign4, apiAssign6, apiUnassign4, apiUnassign6} {
			w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: action, Count: attempts})
		}
		w.insist(func() error { return w.Assign(t.Context(), id(0), addrs, "") })
		w.insist(func() error { return w.Assign(t.Context(), id(1), addrs, id(0)) })
		if !w.has(id(1), addrs...) || len(w.until(id(0), nic.StateAvailable).Addrs) != 1 {
			t.Error("not moved")
		}
		w.insist(func() error { return w.Unassign(t.Context(), id(1), addrs) })
		if n := len(w.until(id(1), nic.StateAvailable).Addrs); n != 1 {
			t.Errorf("%d addresses are left", n)
		}
	})
}

// TestF03_AnAddressIsAskedForOnce: what was done, its reply lost, is not called refused
// because EC2 would not hear it again.
func TestF03_AnAddressIsAskedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.created(id(0))
		moving := texted("10.80.0.100")
		w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: apiAssign4})
		w.inject(cloudsim.Fault{Verb: cloudsim.Throttle, API: apiAssign4, Nth: 2, Count: attempts})
		if err := w.Assign(t.Context(), id(0), moving, ""); !errors.Is(err, provider.ErrUnknown) || !w.has(id(0), moving...) {
			t.Errorf("%v; want that it is not known", err)
		}
	})
}

// TestPublish: a claim's public address passes from NIC to NIC with it, and goes
// with it.
func TestPublish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		ctx := t.Context()
		w.created(id(0))
		w.created(id(1))
		const claim, other = nic.ClaimID("clm-0000000000000001"), nic.ClaimID("clm-0000000000000002")
		for _, action := range []string{apiAssociateAddress, apiDisassociate, apiReleaseAddress} {
			w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: action, Count: attempts})
		}
		leads := func(n int, public netip.Addr) bool {
			for _, i := range w.ours() {
				if i.Tags[eni.TagNIC] == string(id(n)) {
					a := i.IPv4[0].Association
					return a != nil && a.Public == public
				}
			}
			return false
		}
		var first, again netip.Addr
		publish := func(to *netip.Addr, c nic.ClaimID, n int) {
			w.insist(func() (err error) { *to, err = w.Publish(ctx, c, id(n)); return err })
		}
		publish(&first, claim, 0)
		publish(&again, claim, 0)
		if first != again || !first.IsValid() || !leads(0, first) {
			t.Errorf("%s, then %s", first, again)
		}
		publish(&again, claim, 1)
		if first != again || !leads(1, first) || leads(0, first) {
			t.Errorf("%s does not lead to the second NIC", first)
		}
		publish(&again, other, 0)
		if again == first {
			t.Error("two claims have one address")
		}
		// On a NIC that another claim's leads to, there is no room.
		if _, err := w.Publish(ctx, claim, id(0)); !errors.Is(err, provider.ErrElsewhere) {
			t.Errorf("%v; want elsewhere: it would be the other's end", err)
		}
		all, err := w.Published(ctx)
		if err != nil || len(all) != 2 || all[claim] != first {
			t.Errorf("%v, %v", all, err)
		}
		for range 2 {
			w.insist(func() error { return w.Unpublish(ctx, claim) })
			w.insist(func() error { return w.Unpublish(ctx, other) })
		}
		if all, err := w.Published(ctx); err != nil || len(all) != 0 {
			t.Errorf("%v, %v; want none", all, err)
		}
		if err := w.Unpublish(ctx, "clm-*"); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
	})
}

// TestPublishLostReply: EC2 knows no token for public addresses, so a lost reply
// must not be tried again before a look.
func TestPublishLostReply(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.created(id(0))
		w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: apiAllocateAddress, Count: attempts})
		w.insist(func() error { _, err := w.Publish(t.Context(), testClaim, id(0)); return err })
		if n := w.cloud.Counts()[apiAllocateAddress].Effects; n != 1 {
			t.Errorf("%d were made", n)
		}
		w.must(w.Unpublish(t.Context(), testClaim))
		if all, err := w.Provider.cloud.PublicAddrs(t.Context(), ""); err != nil || len(all) != 0 {
			t.Errorf("%v, %v; want none left", all, err)
		}
	})
}

// TestF03_TwinPublicAddress: EC2 has an address of the claim that it did not show when
// it was asked for another, as after a lost reply. The claim keeps the one that it
// works with, whichever comes first, and the other costs nobody money.
func TestF03_TwinPublicAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.created(id(0))
		w.created(id(1))
		var addr netip.Addr
		w.insist(func() (err error) { addr, err = w.Publish(t.Context(), testClaim, id(0)); return err })
		for range 4 { // some come before the claim's own by their ids
			tags := cloudsim.Tags{eni.TagClaim: string(testClaim), eni.TagCluster: w.options().Cluster}
			_, err := w.cloud.AllocateAddress(t.Context(), cloudsim.Call{Caller: "test"}, cloudsim.NewAddress{Tags: tags})
			w.must(err)
		}
		for _, n := range []int{0, 1} {
			if now, err := w.Publish(t.Context(), testClaim, id(n)); now != addr || err != nil {
				t.Errorf("on NIC %d it is %s, %v; it was %s", n, now, err, addr)
			}
		}
		if all, err := w.Provider.cloud.PublicAddrs(t.Context(), testClaim); err != nil || len(all) != 1 {
			t.Errorf("%d addresses, %v; want the claim's alone", len(all), err)
		}
	})
}
