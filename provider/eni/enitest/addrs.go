package enitest

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Assign: addresses are given, moved and taken, and the first one of each stays.
func Assign(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		for n := range 3 {
			w.Created(ID(n))
		}
		ctx, moving := t.Context(), Addrs("10.80.0.100", "fd80::100")
		for range 2 { // the second time is the same
			w.Must(w.Assign(ctx, ID(0), moving, ""))
		}
		if !w.Has(ID(0), moving...) {
			t.Error("not assigned")
		}
		for name, from := range map[string]nic.ID{"no NIC": "", "another NIC": ID(2), "no such NIC": ID(9)} {
			if err := w.Assign(ctx, ID(1), moving[:1], from); !errors.Is(err, provider.ErrElsewhere) || w.Has(ID(1), moving[0]) {
				t.Errorf("taken from %s: %v; want elsewhere", name, err)
			}
		}
		for range 2 {
			w.Must(w.Assign(ctx, ID(1), moving, ID(0)))
		}
		if !w.Has(ID(1), moving...) || w.Has(ID(0), moving[0]) || w.Has(ID(0), moving[1]) {
			t.Error("not moved")
		}
		own := w.Until(ID(1), nic.StateAvailable).Addrs[0]
		if err := w.Unassign(ctx, ID(1), []netip.Addr{own}); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("the first address: %v; want invalid", err)
		}
		if err := w.Assign(ctx, ID(0), []netip.Addr{own}, ID(1)); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("another's first address: %v; want invalid", err)
		}
		for range 2 {
			w.Must(w.Unassign(ctx, ID(1), moving))
		}
		if w.Has(ID(1), moving[0]) || w.Has(ID(1), moving[1]) {
			t.Error("not taken")
		}
		if err := w.Assign(ctx, ID(9), moving, ""); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("%v; want not found", err)
		}
		if err := w.Unassign(ctx, ID(9), moving); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("%v; want not found", err)
		}
	})
}

// AssignLostReplies: named addresses are the same, however often asked for.
func AssignLostReplies(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Created(ID(0))
		w.Created(ID(1))
		addrs := Addrs("10.80.0.100", "10.80.0.101", "fd80::100")
		for _, action := range []string{v.Act.Assign4, v.Act.Assign6, v.Act.Unassign4, v.Act.Unassign6} {
			w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: action, Count: w.Attempts})
		}
		w.Insist(func() error { return w.Assign(t.Context(), ID(0), addrs, "") })
		w.Insist(func() error { return w.Assign(t.Context(), ID(1), addrs, ID(0)) })
		if !w.Has(ID(1), addrs...) || len(w.Until(ID(0), nic.StateAvailable).Addrs) != 1 {
			t.Error("not moved")
		}
		w.Insist(func() error { return w.Unassign(t.Context(), ID(1), addrs) })
		if n := len(w.Until(ID(1), nic.StateAvailable).Addrs); n != 1 {
			t.Errorf("%d addresses are left", n)
		}
	})
}
