package allocator_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

const (
	sweepEvery = time.Minute
	sweepGrace = 30 * time.Second
)

// sweeping starts the allocator anew, with a sweep.
func (r *rig) sweeping() {
	r.stop()
	var cloud provider.Provider = r.cloud
	if r.via != nil {
		cloud = r.via
	}
	r.startWith(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{"fake": cloud}, Networks: r.networks,
		Sweep: &allocator.Sweep{Every: sweepEvery, Grace: sweepGrace},
	})
	r.wait(time.Second)
}

// A reader is a provider whose reads are not what it has.
type reader struct {
	*fake.Provider
	mu   sync.Mutex
	list func(now []nic.Seen) []nic.Seen // what List makes of the truth; nil is the truth
	get  func(now map[nic.ID]nic.Seen)
}

func (p *reader) List(ctx context.Context) ([]nic.Seen, error) {
	seen, err := p.Provider.List(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.list != nil {
		seen = p.list(seen)
	}
	return seen, err
}

func (p *reader) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	seen, err := p.Provider.Get(ctx, ids...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.get != nil {
		p.get(seen)
	}
	return seen, err
}

func (p *reader) read(list func([]nic.Seen) []nic.Seen, get func(map[nic.ID]nic.Seen)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list, p.get = list, get
}

// calls are how often the cloud was asked to change something, with effect or
// without.
func (r *rig) calls() map[string]int {
	n := map[string]int{}
	for _, op := range []string{fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete} {
		n[op] = r.cloud.Counts()[op].Calls
	}
	return n
}

// A NIC with our tag and no record, as a crash leaves one, is collected within
// two sweeps, and not before its grace is over. What does not carry our tag
// stays, whatever it is called.
func TestF01_TheSweepCollectsWhatHasNoRecord(t *testing.T) {
	bubble(t, fake.Options{Lag: 20 * time.Second, Latency: fake.Latency{Delete: 20 * time.Second}}, func(t *testing.T, r *rig) {
		web := r.bound("a001", "web")
		defer r.answers(allOf(web))()
		r.sweeping()
		defer r.answers(allOf(web))()
		leak := r.plant("")
		foreign := fake.Foreign{ProviderID: "eni-1", Name: string(leak), Instance: "vm1"}
		r.cloud.Plant(foreign)
		r.wait(sweepEvery + sweepGrace - 5*time.Second)
		if n := r.cloud.Counts()[fake.OpDelete].Calls; n > 0 {
			t.Errorf("%d deletes before the grace was over", n)
		}
		r.wait(2 * sweepEvery)
		r.onlyInCloud(web.NIC)
		if got := r.cloud.Foreign(); !slices.Equal(got, []fake.Foreign{foreign}) {
			t.Errorf("what is not ours has become %+v", got)
		}
		if s := r.alloc.Sweeps(); s.Runs < 3 || s.Mended != 1 || s.Marked == 0 || s.Off {
			t.Errorf("the sweep counts %+v", s)
		}
	})
}

// Without a sweep in the options nothing is touched.
func TestTheSweepCanBeSwitchedOff(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		leak := r.plant("")
		r.wait(24 * time.Hour)
		r.onlyKnown(leak)
		if s := r.alloc.Sweeps(); !s.Off || s.Runs > 0 {
			t.Errorf("the sweep counts %+v", s)
		}
	})
}

func (r *rig) onlyKnown(want ...nic.ID) {
	r.t.Helper()
	seen, err := r.cloud.List(r.t.Context())
	if err != nil || len(seen) != len(want) {
		r.t.Errorf("the provider has %+v, %v; want %v", seen, err, want)
	}
}

// F05: for ten minutes, around a restart, the list is that of an hour ago, while
// single NICs are answered truly. Nothing is deleted, unplugged or given twice.
func TestF05_AnOldAnswerDestroysNothing(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		cloud := &reader{Provider: r.cloud}
		r.via = cloud
		r.sweeping()
		old := r.bound("a001", "web")
		hourAgo, err := r.cloud.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.cleanWhenTold(old.NIC)
		if err := r.alloc.Release(t.Context(), old.ID, old.Epoch); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		one, two := r.bound("a002", "web"), r.bound("a003", "web")
		stop := r.answers(allOf(one, two))
		cloud.read(func([]nic.Seen) []nic.Seen { return hourAgo }, nil)
		before := r.calls()
		r.wait(5 * time.Minute)
		stop()
		r.sweeping()
		defer r.answers(allOf(one, two))()
		r.wait(5 * time.Minute)
		if now := r.calls(); !maps.Equal(before, now) {
			t.Errorf("an old answer led to calls: %v, then %v", before, now)
		}
		if n := r.alloc.Sweeps(); n.Marked == 0 || n.Mended > 0 {
			t.Errorf("the sweep counts %+v; want what it doubted, and nothing mended", n)
		}
		for _, c := range []nic.Claim{one, two} {
			if now := r.claim(c.ID); now.Phase != nic.ClaimBound || now.NIC != c.NIC || !slices.Equal(now.Identity.Addrs, c.Identity.Addrs) {
				t.Errorf("claim has become %+v", now)
			}
		}
		if slices.Equal(one.Identity.Addrs, two.Identity.Addrs) {
			t.Errorf("two claims have the addresses %v", one.Identity.Addrs)
		}
	})
}

// F06: another node's NIC takes long to be attached, and sweeps come again and
// again meanwhile. It is left to those who are at it, as is a foreign one with
// its name.
func TestF06_TheSweepLeavesASlowAttachAlone(t *testing.T) {
	bubble(t, fake.Options{Latency: fake.Latency{Attach: 4 * time.Minute}}, func(t *testing.T, r *rig) {
		r.sweeping()
		defer r.answers(allOf())()
		slow := r.acquire("a001", "web")
		foreign := fake.Foreign{ProviderID: "eni-1", Name: string(slow.NIC), Instance: "vm2"}
		r.cloud.Plant(foreign)
		claim := r.wants(slow.ID, nic.ClaimReady, 5*time.Minute)
		if claim.NIC != slow.NIC {
			t.Errorf("it is the NIC %s that was attached, want %s", claim.NIC, slow.NIC)
		}
		for _, op := range []string{fake.OpDetach, fake.OpDelete} {
			if n := r.cloud.Counts()[op].Calls; n > 0 {
				t.Errorf("%d calls of %s", n, op)
			}
		}
		if got := r.cloud.Foreign(); !slices.Equal(got, []fake.Foreign{foreign}) {
			t.Errorf("what is not ours has become %+v", got)
		}
	})
}

// F06: without a record too, what moves is left alone while it moves.
func TestF06_WhatMovesIsLeftAlone(t *testing.T) {
	bubble(t, fake.Options{Latency: fake.Latency{Attach: 6 * time.Minute}}, func(t *testing.T, r *rig) {
		r.sweeping()
		defer r.answers(allOf())()
		id := r.plant("vm1")
		r.wait(6*time.Minute - 5*time.Second)
		if n := r.calls(); n[fake.OpDetach]+n[fake.OpDelete] > 0 {
			t.Errorf("it was being attached, and was collected: %v", n)
		}
		r.cleanWhenTold(id)
		r.wait(3 * time.Minute)
	})
}

// F51: half of the NICs are missing from every answer, from the start on.
// Nothing in use is freed, the difference is told, and all is well when they
// are back.
func TestF51_AShortAnswerFreesNothing(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		one, two := r.bound("a001", "web"), r.bound("a002", "web")
		cloud := &reader{Provider: r.cloud}
		r.via = cloud
		cloud.read(
			func(seen []nic.Seen) []nic.Seen {
				return slices.DeleteFunc(seen, func(s nic.Seen) bool { return s.NIC == two.NIC })
			},
			func(seen map[nic.ID]nic.Seen) { delete(seen, two.NIC) })
		r.sweeping()
		defer r.answers(allOf(one, two))()
		before := r.effects()
		r.wait(10 * time.Minute)
		if now := r.effects(); !maps.Equal(before, now) {
			t.Errorf("a short answer had effects: %v, then %v", before, now)
		}
		if s := r.alloc.Sweeps(); s.Marked == 0 {
			t.Errorf("nobody was told: %+v", s)
		}
		cloud.read(nil, nil)
		r.wait(2 * sweepEvery)
		r.audit(false)
		for _, c := range []nic.Claim{one, two} {
			if now := r.claim(c.ID); now.Phase != nic.ClaimBound || now.NIC != c.NIC {
				t.Errorf("claim has become %+v", now)
			}
		}
	})
}

// A list that fails is an error and never a short one: what could not be
// compared is not touched, and what is found elsewhere still is.
func TestF51_AnErrorIsNoList(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		web := r.bound("a001", "web")
		r.plant("")
		r.sweeping()
		defer r.answers(allOf(web))()
		before := r.calls()
		for range 20 {
			r.cloud.Fail(fake.OpList, provider.ErrThrottled)
		}
		r.wait(10 * time.Minute)
		if now := r.calls(); !maps.Equal(before, now) {
			t.Errorf("without a list there were calls: %v, then %v", before, now)
		}
	})
}

// F14: the delete is acknowledged and takes its time. The record stays until the
// NIC is gone, so that nobody reuses what it has.
func TestF14_CollectedWhenGoneNotWhenSaid(t *testing.T) {
	bubble(t, fake.Options{Latency: fake.Latency{Delete: 20 * time.Second}}, func(t *testing.T, r *rig) {
		leak := r.plant("")
		defer r.answers(allOf())()
		r.wait(time.Second)
		if _, err := r.alloc.Audit(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		r.wait(19 * time.Second)
		if n, err := r.alloc.NIC(t.Context(), leak); err != nil || n.Phase != nic.PhaseRetiring {
			t.Errorf("the record is %+v, %v while the NIC is being deleted", n, err)
		}
		r.wait(5 * time.Second)
		if _, err := r.alloc.NIC(t.Context(), leak); err == nil {
			t.Error("the record has outlived the NIC")
		}
		r.onlyInCloud()
	})
}
