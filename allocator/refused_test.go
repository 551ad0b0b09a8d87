package allocator_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A paused store lets something happen when a refused claim has been chosen to be tried
// again, and is about to be read.
type pausedStore struct {
	store.Store
	then atomic.Pointer[func()]
}

func (p *pausedStore) Get(ctx context.Context, key string) (store.Record, error) {
	if strings.HasPrefix(key, "owner/") {
		if then := p.then.Swap(nil); then != nil {
			(*then)()
		}
	}
	return p.Store.Get(ctx, key)
}

// A refused claim that is released while it is to be tried again stays away.
func TestAReleasedClaimIsNotTriedAgain(t *testing.T) {
	bubble(t, full(1), func(t *testing.T, r *rig) {
		between := &pausedStore{Store: r.store}
		r.store = between
		r.crash()
		first := r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Second)
		second := r.wants(r.acquire("0002", "lab").ID, nic.ClaimRefused, time.Second)
		r.report(first, nic.ObservedIn, true)
		r.release(first.ID)
		then := func() { r.release(second.ID) }
		r.report(first, nic.ObservedClean, false)
		between.then.Store(&then)
		r.wait(time.Minute)
		if between.then.Load() != nil {
			t.Fatal("nobody tried the refused again")
		}
		r.empty()
	})
}

// A readCounter counts what is read of it one by one.
type readCounter struct {
	store.Store
	gets atomic.Int64
}

func (c *readCounter) Get(ctx context.Context, key string) (store.Record, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, key)
}

// An address that comes free is not asked for by all who were refused, but by
// the first, and one more who finds it gone.
func TestOneFreeAddressCostsLittle(t *testing.T) {
	bubble(t, fake.Options{NICsPerInstance: 20}, func(t *testing.T, r *rig) {
		reads := &readCounter{Store: r.store}
		r.store = reads
		r.crash()
		var claims []nic.Claim
		for i := range 400 {
			claims = append(claims, r.acquire(fmt.Sprintf("%04x", i), "web"))
			r.wait(time.Millisecond)
		}
		r.wait(time.Minute)
		for i := range 5 {
			if got := r.claim(claims[i+3].ID); got.Phase != nic.ClaimRefused {
				t.Fatalf("claim %d is %+v", i+3, got)
			}
			before := reads.gets.Load()
			r.giveBack(r.claim(claims[i].ID))
			r.report(r.claim(claims[i].ID), nic.ObservedClean, false)
			r.wait(time.Second)
			n := reads.gets.Load() - before
			if n > 200 {
				t.Errorf("%d reads for one address, while %d are refused", n, len(claims)-3-i)
			}
			if got := r.claim(claims[i+3].ID); got.Phase != nic.ClaimReady {
				t.Errorf("the next in line is %+v", got)
			}
		}
	})
}

// A hung provider does not answer for some instances until the call is broken off.
type hung struct {
	provider.Provider
	at    func(nic.InstanceID) bool
	asked atomic.Int64 // of hung instances
}

func (h *hung) Info() provider.Info {
	info := h.Provider.Info()
	info.WorstCall = 10 * time.Second
	return info
}

func (h *hung) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	if !h.at(instance) {
		return h.Provider.Limits(ctx, instance)
	}
	h.asked.Add(1)
	<-ctx.Done()
	return provider.Limits{}, &provider.Error{Kind: provider.ErrUnknown, Err: ctx.Err()}
}

// Machines that hang are each asked once for all the claims that were refused
// there, and no claim elsewhere waits for that.
func TestHungMachinesDelayNoRefusedClaimElsewhere(t *testing.T) {
	bubble(t, full(1), func(t *testing.T, r *rig) {
		var hangs atomic.Bool
		h := &hung{Provider: r.cloud, at: func(i nic.InstanceID) bool { return hangs.Load() && i != "vm1" }}
		r.via = h
		r.crash()
		r.burst(36, "n1", "n2", "n3")
		first := r.wants(r.acquire("a001", "lab").ID, nic.ClaimReady, time.Minute)
		second := r.wants(r.acquire("a002", "lab").ID, nic.ClaimRefused, time.Minute)
		r.report(first, nic.ObservedIn, true)
		r.wait(time.Minute)
		hangs.Store(true)
		r.release(first.ID)
		r.report(first, nic.ObservedClean, false)
		begin := time.Now()
		r.wants(second.ID, nic.ClaimReady, time.Minute)
		t.Logf("ready after %s; those that hang were asked %d times", time.Since(begin), h.asked.Load())
		r.wait(time.Minute)
		// A run takes 10 s, and the next comes after a back-off of some seconds at least.
		if n := h.asked.Load(); n > 3*10 {
			t.Errorf("three machines that hang were asked %d times", n)
		}
		if err := r.alloc.Health(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// That a node's refused claim is tried again, for what another let go, is no sign
// of life of the node.
func TestRefusedTriedAgainIsNoSignOfLife(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		if _, err := r.alloc.Hello(t.Context(), "vm2", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatal(err)
		}
		of := func(name string) nic.Claim {
			o := owner(name)
			o.Node = "vm2"
			claim, err := r.alloc.Acquire(t.Context(), o, name, nic.Request{
				Interface: "eth0", Network: "web", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.10")},
			})
			if err != nil {
				t.Fatal(err)
			}
			return claim
		}
		has, also := of("b001"), of("b002")
		mine := r.acquire("a001", "web", "10.0.0.10")
		if has.Phase == nic.ClaimRefused || also.Phase != nic.ClaimRefused || mine.Phase != nic.ClaimRefused {
			t.Fatalf("the claims are %s, %s and %s", has.Phase, also.Phase, mine.Phase)
		}
		r.wait(time.Hour)
		before, err := r.alloc.Node(t.Context(), "vm1")
		if err != nil || before.Phase != nic.NodeSilent {
			t.Fatalf("the node is %+v, %v", before, err)
		}
		if err := r.alloc.Release(t.Context(), also.ID, also.Epoch); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		if now, err := r.alloc.Node(t.Context(), "vm1"); err != nil || now.Phase != nic.NodeSilent || !now.LastSeen.Equal(before.LastSeen) {
			t.Errorf("the node is %s, seen at %s, and was seen at %s: %v", now.Phase, now.LastSeen, before.LastSeen, err)
		}
	})
}
