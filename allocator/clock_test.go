package allocator_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// F66: the wall clock is set while a controller runs, forward or back, by an
// hour or a day. A hold, a cool-down, what a name is to have again, the sweep's
// grace and a plugging all end when their time has passed, not before and not
// after.
func TestF66_TheWallClockIsSet(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			slow := fake.Options{Latency: fake.Latency{Attach: 20 * time.Second}}
			bubble(t, slow, func(t *testing.T, r *rig) { setClock(t, r, jump) })
		})
	}
}

func setClock(t *testing.T, r *rig, jump time.Duration) {
	r.stop()
	for i := range r.networks {
		r.networks[i].Cooldown, r.networks[i].Keep = nic.Duration(5*time.Minute), nic.Duration(10*time.Minute)
	}
	var wall time.Duration
	r.startWith(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
		Wall:  func() time.Time { return time.Now().Add(wall) },
		Sweep: &allocator.Sweep{Every: time.Minute, Grace: 4 * time.Minute},
	})
	stopped, gone := r.bound("a001", "web"), r.bound("a002", "web")
	r.report(stopped, nic.ObservedMade, false) // a hold of a minute begins
	r.remove(gone.ID)
	freed := gone.Identity.Addrs[0].Addr()
	stray := r.plant("")
	r.wait(25 * time.Second) // the sweep marks it a minute after the start
	late := r.acquire("a003", "lab")
	r.wait(5 * time.Second)

	wall = jump
	r.wait(5 * time.Second)
	if got := r.claim(stopped.ID); got.NIC == "" || got.Phase == nic.ClaimPending {
		t.Errorf("the hold ended with the jump: %+v", got)
	}
	thief := r.acquire("a004", "web", freed.String())
	if thief.Phase != nic.ClaimRefused {
		t.Errorf("the cool-down ended with the jump: %+v", thief)
	}
	if node, err := r.alloc.Node(t.Context(), "vm1"); err != nil || node.Phase != nic.NodeReady {
		t.Errorf("the node is %+v, %v", node, err)
	}
	if seen, _ := r.cloud.Get(t.Context(), stray); len(seen) == 0 {
		t.Error("the sweep's grace ended with the jump")
	}
	if got := r.wants(late.ID, nic.ClaimReady, 30*time.Second); len(got.Setbacks) > 0 {
		t.Errorf("what was on its way was given up: %+v", got)
	}
	r.wait(time.Minute)
	if got := r.claim(stopped.ID); got.Phase != nic.ClaimPending {
		t.Errorf("the hold did not end: %+v", got)
	}
	r.wait(6 * time.Minute)
	if got := r.claim(thief.ID); got.Phase == nic.ClaimRefused || got.Identity.Addrs[0].Addr() != freed {
		t.Errorf("the cool-down did not end: %+v", got)
	}
	if seen, _ := r.cloud.Get(t.Context(), stray); len(seen) > 0 {
		t.Error("the sweep's grace did not end")
	}
}

// F66: times of a controller whose clock was set are told apart from those of
// others by nobody: a next one begins by the wall clock, and frees nothing that
// is in use.
func TestF66_ANextControllerTakesTheWallClock(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -24 * time.Hour} {
		bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
			has := r.bound("a001", "web")
			r.stop()
			r.startWith(allocator.Options{
				Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
				Wall: func() time.Time { return time.Now().Add(jump) },
			})
			r.wait(10 * time.Minute)
			if got := r.claim(has.ID); got.Phase != nic.ClaimBound {
				t.Errorf("after %s: %+v", jump, got)
			}
			next := r.acquire("a002", "lab")
			r.wants(next.ID, nic.ClaimReady, time.Second)
			if age := time.Now().Add(jump).Sub(r.claim(next.ID).Created); age > time.Minute || age < 0 {
				t.Errorf("made %s ago by the new clock", age)
			}
		})
	}
}

// F66: the wall clock is set back, and the controller starts anew. What was
// stored before lies ahead: a dead node must be seen to be silent all the same,
// and neither a plugging nor a hold may wait for as long as the step.
func TestF66_WhatLiesAheadBeginsAnew(t *testing.T) {
	never := fake.Options{Latency: fake.Latency{Attach: 1000 * time.Hour}}
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour} {
		bubble(t, never, func(t *testing.T, r *rig) {
			late := r.acquire("a001", "lab")
			r.wait(time.Minute)
			r.stop()
			r.startWith(allocator.Options{
				Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
				Wall: func() time.Time { return time.Now().Add(-back) },
			})
			r.wait(2 * time.Minute)
			node, err := r.alloc.Node(t.Context(), "vm1")
			if err != nil || node.Phase != nic.NodeSilent {
				t.Errorf("%s back: a node that says nothing is %+v, %v", back, node, err)
			}
			r.wait(4 * time.Minute)
			if got := r.claim(late.ID); len(got.Setbacks) != 1 {
				t.Errorf("%s back: a plugging that does not end was not given up: %+v", back, got)
			}
			if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil {
				t.Errorf("%s back: forget the node: %v", back, err)
			}
		})
	}
}

// F66: the same for a hold, of which the container's stop is the beginning.
func TestF66_AHoldThatLiesAheadEnds(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		stopped := r.bound("a001", "web")
		r.report(stopped, nic.ObservedMade, false) // a hold of a minute begins
		r.stop()
		r.startWith(allocator.Options{
			Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
			Wall: func() time.Time { return time.Now().Add(-24 * time.Hour) },
		})
		r.wait(50 * time.Second)
		if got := r.claim(stopped.ID); got.Phase != nic.ClaimReady {
			t.Errorf("the hold did not begin anew: %+v", got)
		}
		r.wait(20 * time.Second)
		if got := r.claim(stopped.ID); got.Phase != nic.ClaimPending {
			t.Errorf("the hold did not end: %+v", got)
		}
	})
}
