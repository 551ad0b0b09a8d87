package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// An interrupted store lets something happen right before one of its commits.
type interrupted struct {
	store.Store
	mu   sync.Mutex
	left int          // commits until then
	then func() error // its error is the commit's
}

func (s *interrupted) at(commit int, then func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.then = commit, then
}

func (s *interrupted) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	s.mu.Lock()
	then := s.then
	if s.left--; s.left >= 0 || then == nil {
		then = func() error { return nil }
	} else {
		s.then = nil
	}
	s.mu.Unlock()
	if err := then(); err != nil {
		return 0, err
	}
	return s.Store.Commit(ctx, ops...)
}

// full is a node with eight bound claims that has been silent for an hour, over
// a store that can be interrupted.
func (r *rig) full() (*interrupted, []nic.Claim) {
	r.stop()
	s := &interrupted{Store: r.store}
	r.startWith(allocator.Options{Store: s, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks})
	var claims []nic.Claim
	for _, name := range []string{"a001", "a002", "a003", "a004", "a005", "a006", "a007", "a008"} {
		claims = append(claims, r.bound(name, "lab"))
	}
	r.wait(time.Hour)
	return s, claims
}

// A node that gives a sign of life while it is being forgotten keeps all that is
// not given up by then: nothing is unplugged from its containers.
func TestForgetStopsWhenTheNodeIsBack(t *testing.T) {
	signs := map[string]func(r *rig, has nic.Claim) error{
		"hello": func(r *rig, _ nic.Claim) (err error) {
			r.node, err = r.alloc.Hello(r.t.Context(), "vm1", nic.Inventory{Boot: "b1"})
			return err
		},
		"question": func(r *rig, _ nic.Claim) error {
			_, _, err := r.alloc.Wanted(r.t.Context(), "vm1", r.node.Session)
			return err
		},
		"report": func(r *rig, has nic.Claim) error {
			return r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{
				NIC: has.NIC, Claim: has.ID, Epoch: has.Epoch, State: nic.ObservedIn, Running: true,
			}}})
		},
		"watch": func(r *rig, _ nic.Claim) error {
			_, err := r.alloc.WaitChange(r.t.Context(), "vm1", 1)
			return err
		},
	}
	for name, sign := range signs {
		for _, commit := range []int{0, 1, 2, 5} {
			t.Run(fmt.Sprint(name, commit), func(t *testing.T) {
				bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
					s, claims := r.full()
					s.at(commit, func() error { time.Sleep(time.Millisecond); return sign(r, claims[7]) })
					if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); !errors.Is(err, allocator.ErrRefused) {
						t.Errorf("forget a node that came back before commit %d: %v", commit, err)
					}
					if node, err := r.alloc.Node(t.Context(), "vm1"); commit > 0 && name != "watch" && (err != nil || node.Phase != nic.NodeReady) {
						t.Errorf("after its %s the node is %+v, %v", name, node, err)
					}
					r.wait(time.Minute)
					r.keepsMost(claims, commit+1)
				})
			})
		}
	}
}

// keepsMost wants no more than so many of the claims gone, and the others as they
// were, at the provider too, on a node that counts as there once it asks.
func (r *rig) keepsMost(claims []nic.Claim, gone int) {
	r.t.Helper()
	kept := 0
	for _, c := range claims {
		if now := r.claim(c.ID); now.Phase != nic.ClaimBound {
			continue
		}
		kept++
		if seen, err := r.cloud.Get(r.t.Context(), c.NIC); err != nil || seen[c.NIC].State != nic.StateAttached {
			r.t.Errorf("the NIC of a claim that was kept is %+v, %v", seen, err)
		}
	}
	if kept < len(claims)-gone {
		r.t.Errorf("%d of %d claims are left after the node came back, want all but %d", kept, len(claims), gone)
	}
	wanted, _, err := r.alloc.Wanted(r.t.Context(), "vm1", r.node.Session)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, w := range wanted {
		if w.Gone {
			r.t.Errorf("the node is to take out %+v", w)
		}
	}
	if node, err := r.alloc.Node(r.t.Context(), "vm1"); err != nil || node.Phase != nic.NodeReady {
		r.t.Errorf("the node that is back is %+v, %v", node, err)
	}
}

// A forget that breaks off is no sign of life of the node, and may be repeated.
func TestForgetGoesOnAfterItBrokeOff(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		s, claims := r.full()
		full := errors.New("disk full")
		s.at(3, func() error { return full })
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); !errors.Is(err, full) {
			t.Fatalf("forget with a full disk: %v", err)
		}
		if node, err := r.alloc.Node(t.Context(), "vm1"); err != nil || time.Since(node.LastSeen) < time.Hour {
			t.Errorf("the node is %+v, %v", node, err)
		}
		again := nic.Owner{Node: "vm1", Kind: nic.OwnerContainer, Sandbox: sandbox("b001"), Interface: "eth0"}
		if _, err := r.alloc.Acquire(t.Context(), again, "late", nic.Request{Interface: "eth0", Network: "lab"}); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("a node that is being forgotten gets a new claim: %v", err)
		}
		r.wait(2 * time.Minute) // it was a sign of life
		if given, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil || len(given.Claims) == 0 {
			t.Errorf("forget it again: %+v, %v", given, err)
		}
		r.wait(time.Minute)
		for _, c := range claims {
			if now := r.claim(c.ID); now.ID != "" {
				t.Errorf("left: %+v", now)
			}
		}
		if seen, err := r.cloud.List(t.Context()); err != nil || len(seen) > 0 {
			t.Errorf("left at the provider: %+v, %v", seen, err)
		}
	})
}

// F65: a node was forgotten, and another machine has its name. The old one's agent
// wakes up in a session of before: it is told nothing, and its word counts nothing.
func TestF65_AForgottenMachineIsStale(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.bound("a001", "lab")
		asleep := r.node.Session
		r.wait(time.Hour)
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		var err error
		if r.node, err = r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b2"}); err != nil {
			t.Fatal(err)
		}
		has := r.wants(r.acquire("b001", "lab").ID, nic.ClaimReady, time.Minute)
		if _, _, err := r.alloc.Wanted(t.Context(), "vm1", asleep); !errors.Is(err, allocator.ErrStale) {
			t.Errorf("question of the machine that was forgotten: %v", err)
		}
		err = r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: asleep, NICs: []nic.Observed{{
			NIC: has.NIC, Claim: has.ID, Epoch: has.Epoch, State: nic.ObservedIn, Running: true,
		}}})
		if !errors.Is(err, allocator.ErrStale) {
			t.Errorf("report of the machine that was forgotten: %v", err)
		}
	})
}

// Who only looks at what is wanted of a node is no sign of its life.
func TestLookingIsNoSignOfLife(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.wait(time.Hour)
		if _, _, err := r.alloc.Wanted(t.Context(), "vm1", 0); err != nil {
			t.Fatal(err)
		}
		if node, err := r.alloc.Node(t.Context(), "vm1"); err != nil || node.Phase != nic.NodeSilent {
			t.Errorf("a node that was only looked at is %+v, %v", node, err)
		}
	})
}
