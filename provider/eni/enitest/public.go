package enitest

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

// Publish: a claim's public address passes from NIC to NIC with it, and goes
// with it.
func Publish(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		ctx := t.Context()
		w.Created(ID(0))
		w.Created(ID(1))
		const claim, other = nic.ClaimID("clm-0000000000000001"), nic.ClaimID("clm-0000000000000002")
		for _, action := range []string{w.Act.Lead, w.Act.Unlead, w.Act.Unpublish} {
			w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: action, Count: w.Attempts})
		}
		leads := func(n int, public netip.Addr) bool {
			for _, i := range w.Ours() {
				if i.Tags[eni.TagNIC] == string(ID(n)) {
					a := i.IPv4[0].Association
					return a != nil && a.Public == public
				}
			}
			return false
		}
		var first, again netip.Addr
		publish := func(to *netip.Addr, c nic.ClaimID, n int) {
			w.Insist(func() (err error) { *to, err = w.Provider.Publish(ctx, c, ID(n)); return err })
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
		if _, err := w.Provider.Publish(ctx, claim, ID(0)); !errors.Is(err, provider.ErrElsewhere) {
			t.Errorf("%v; want elsewhere: it would be the other's end", err)
		}
		all, err := w.Published(ctx)
		if err != nil || len(all) != 2 || all[claim] != first {
			t.Errorf("%v, %v", all, err)
		}
		for range 2 {
			w.Insist(func() error { return w.Provider.Unpublish(ctx, claim) })
			w.Insist(func() error { return w.Provider.Unpublish(ctx, other) })
		}
		if all, err := w.Published(ctx); err != nil || len(all) != 0 {
			t.Errorf("%v, %v; want none", all, err)
		}
		if err := w.Provider.Unpublish(ctx, "clm-*"); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
	})
}

// PublishLostReply: one whose reply was lost is found again, and no other is made.
func PublishLostReply(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		ctx, claim := t.Context(), nic.NewClaimID()
		w.Created(ID(0))
		w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: w.Act.Publish, Count: w.Attempts})
		w.Insist(func() error { _, err := w.Provider.Publish(ctx, claim, ID(0)); return err })
		if n := w.Cloud.Counts()[w.Act.Publish].Effects; n != 1 {
			t.Errorf("%d were made", n)
		}
		w.Insist(func() error { return w.Provider.Unpublish(ctx, claim) })
		if all, err := w.Provider.Published(ctx); err != nil || len(all) != 0 {
			t.Errorf("%v, %v; want none left", all, err)
		}
	})
}
