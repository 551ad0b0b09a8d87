package sriov_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/providertest"
	"github.com/nicferry/nicferry/provider/sriov"
)

const (
	manyNodes = 100
	manyVFs   = 64
)

// A tally counts what is asked of a ledger.
type tally struct {
	provider.Ledger
	calls, records int
}

func (l *tally) Put(ctx context.Context, key string, value []byte) ([]byte, bool, error) {
	l.calls++
	return l.Ledger.Put(ctx, key, value)
}

func (l *tally) List(ctx context.Context, prefix string) (map[string][]byte, error) {
	l.calls++
	all, err := l.Ledger.List(ctx, prefix)
	l.records += len(all)
	return all, err
}

func (l *tally) Delete(ctx context.Context, key string) error {
	l.calls++
	return l.Ledger.Delete(ctx, key)
}

// A crowd is nodes of which each has a card of 64 VFs, given out up to the last one.
type crowd struct {
	world
	p      *sriov.Provider
	ledger *tally
	at     []nic.Place
}

func newCrowd(tb testing.TB, nodes int) *crowd {
	c := &crowd{}
	for i := range nodes {
		c.at = append(c.at, nic.Place{Node: fmt.Sprintf("node%d", i), Instance: nic.InstanceID(fmt.Sprintf("i-%d", i))})
	}
	store := memstore.New(memstore.Options{})
	tb.Cleanup(func() { _ = store.Close() })
	c.world = world{nodes: providertest.NewNodes(c.at...), cards: []nic.Card{card(1, manyVFs)}}
	c.ledger = &tally{Ledger: allocator.NewLedger(store, "cards")}
	p, err := sriov.New(sriov.Options{Name: "cards", Ledger: c.ledger, Nodes: c.nodes})
	if err != nil {
		tb.Fatal(err)
	}
	c.p = p
	for _, at := range c.at {
		c.nodes.SetCards(at.Instance, c.cards)
		for range manyVFs - 1 {
			c.start(tb, at)
		}
	}
	return c
}

// start is a claim's start, as the allocator drives it.
func (c *crowd) start(tb testing.TB, at nic.Place) nic.ID {
	tb.Helper()
	ctx := tb.Context()
	if _, err := c.p.Limits(ctx, at.Instance); err != nil {
		tb.Fatal(err)
	}
	spec, err := c.p.Place(ctx, ask(one), c.node(at))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := c.p.Create(ctx, spec); err != nil {
		tb.Fatal(err)
	}
	if _, err := c.p.Attach(ctx, spec.NIC, at); err != nil {
		tb.Fatal(err)
	}
	return spec.NIC
}

func (c *crowd) end(tb testing.TB, id nic.ID, at nic.Place) {
	tb.Helper()
	if err := c.p.Detach(tb.Context(), id, at.Instance); err != nil {
		tb.Fatal(err)
	}
	c.nodes.SetClean(at.Instance, id, true)
	if err := c.p.Delete(tb.Context(), id); err != nil {
		tb.Fatal(err)
	}
}

// TestAStartReadsItsNodeAlone: what a start costs does not depend on how many other
// nodes there are.
func TestAStartReadsItsNodeAlone(t *testing.T) {
	cost := func(nodes int) (calls, records int) {
		c := newCrowd(t, nodes)
		*c.ledger = tally{Ledger: c.ledger.Ledger}
		c.start(t, c.at[0])
		return c.ledger.calls, c.ledger.records
	}
	calls, records := cost(1)
	moreCalls, moreRecords := cost(4)
	if calls != moreCalls || records != moreRecords {
		t.Errorf("a start among 1 node makes %d calls and reads %d records; among 4 %d and %d", calls, records, moreCalls, moreRecords)
	}
	if calls > 20 || records > 3*manyVFs {
		t.Errorf("a start on a card of %d VFs makes %d calls and reads %d records", manyVFs, calls, records)
	}
}

// BenchmarkStart is one claim's Limits, Place, Create and Attach, and its end, among
// 100 nodes whose 64 VFs are all given out but one.
func BenchmarkStart(b *testing.B) {
	c := newCrowd(b, manyNodes)
	*c.ledger = tally{Ledger: c.ledger.Ledger}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := c.at[i%manyNodes]
		c.end(b, c.start(b, at), at)
	}
	b.ReportMetric(float64(c.ledger.calls)/float64(b.N), "calls/op")
	b.ReportMetric(float64(c.ledger.records)/float64(b.N), "records/op")
}
