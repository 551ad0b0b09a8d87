package allocator_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A countingStore counts what is read of addresses.
type countingStore struct {
	store.Store
	gets, lists atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, key string) (store.Record, error) {
	if strings.HasPrefix(key, "addr/") {
		s.gets.Add(1)
	}
	return s.Store.Get(ctx, key)
}

func (s *countingStore) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, store.Rev, error) {
	if strings.HasPrefix(prefix, "addr/") {
		s.lists.Add(1)
	}
	return s.Store.List(ctx, prefix, after, limit)
}

// An address out of a range of which 6,000 are taken costs one look at its own
// reservation, and not one at each.
func TestAFullNetworkIsNotReadThrough(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.stop()
		var ops []store.Op
		for addr := netip.MustParseAddr("10.1.0.1"); len(ops) < 6_000; addr = addr.Next() {
			op, err := store.CreateJSON("addr/default/"+addr.String(), nic.Reservation{Schema: nic.Schema, Claim: nic.NewClaimID()})
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, op)
		}
		for batch := range slices.Chunk(ops, 1_000) {
			if _, err := r.store.Commit(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
		}
		counting := &countingStore{Store: r.store}
		r.store = counting
		r.networks = append(r.networks, nic.Network{
			Name: "wide", Provider: "fake", Addressing: nic.AddrIPAM, Space: "default",
			Subnets: []nic.Subnet{{
				Prefix: netip.MustParsePrefix("10.1.0.0/16"),
				Ranges: []nic.Range{{First: netip.MustParseAddr("10.1.0.1"), Last: netip.MustParseAddr("10.1.255.254")}},
			}},
		})
		r.start()
		synctest.Wait()
		counting.gets.Store(0)
		counting.lists.Store(0)
		for _, name := range []string{"0001", "0002", "0003"} {
			r.acquire(name, "wide")
		}
		if gets, lists := counting.gets.Load(), counting.lists.Load(); gets != 0 || lists != 0 {
			t.Errorf("three addresses took %d reads of reservations and %d lists of them, want none", gets, lists)
		}
		if got := r.claims()[0].Identity.Addrs; len(got) != 1 || !netip.MustParsePrefix("10.1.23.0/24").Contains(got[0].Addr()) {
			t.Errorf("got %v, want one after the 6,000", got)
		}
	})
}
