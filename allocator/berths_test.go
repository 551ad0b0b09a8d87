package allocator_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A hanging cloud does not answer an attach to one of its machines, until it
// wakes.
type hanging struct {
	provider.Provider
	machine nic.InstanceID
	wake    chan struct{}

	mu        sync.Mutex
	now, most int // calls that it does not answer
}

func (h *hanging) Unwrap() provider.Provider { return h.Provider }

func (h *hanging) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	if place.Instance == h.machine {
		h.count(1)
		defer h.count(-1)
		select {
		case <-h.wake:
		case <-ctx.Done():
			return nic.Seen{}, &provider.Error{Kind: provider.ErrUnknown, Provider: "fake", Op: "attach", ID: id, Err: ctx.Err()}
		}
	}
	return h.Provider.Attach(ctx, id, place)
}

func (h *hanging) count(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now += n
	h.most = max(h.most, h.now)
}

// newHanging puts a hanging provider between the rig's controller and its cloud.
func newHanging(r *rig) *hanging {
	h := &hanging{Provider: r.cloud, machine: "hung", wake: make(chan struct{})}
	r.stop()
	r.via = h
	r.start()
	return h
}

// A machine that hangs, with more NICs on their way to it than there are
// workers, holds up none of another machine, and its own when it is back.
func TestAHungMachineHoldsUpNoOther(t *testing.T) {
	bubble(t, fake.Options{NICsPerInstance: 64}, func(t *testing.T, r *rig) {
		cloud := newHanging(r)
		stuck := r.burst(32, "hung")
		r.wait(11 * time.Second)
		for _, name := range []string{"well", "fine"} {
			begin := time.Now()
			for _, c := range r.burst(8, name) {
				r.wants(c.ID, nic.ClaimReady, 10*time.Minute)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("the NICs of %s took %s while another machine hung", name, took)
			}
		}
		say := 0
		for _, c := range stuck {
			for _, why := range r.claim(c.ID).Conditions {
				if why.Reason == nic.ReasonWaitingForProvider && strings.Contains(why.Message, "4 other NICs of hung") {
					say++
				}
			}
		}
		if say < 16 {
			t.Errorf("%d of 32 NICs say what they wait for", say)
		}
		cloud.mu.Lock()
		most := cloud.most
		cloud.mu.Unlock()
		if most != 4 {
			t.Errorf("%d workers were with the machine that hangs; want half of the 8", most)
		}
		close(cloud.wake)
		begin := time.Now()
		for _, c := range stuck {
			r.wants(c.ID, nic.ClaimReady, time.Minute)
		}
		if took := time.Since(begin); took > 4*time.Second { // woken, not by their own look 5 s later
			t.Errorf("the NICs of the machine that hung took %s once it was back", took)
		}
	})
}

// Who waits for a machine and is not wanted any more makes way.
func TestWhoIsReleasedMakesWay(t *testing.T) {
	bubble(t, fake.Options{NICsPerInstance: 64}, func(t *testing.T, r *rig) {
		cloud := newHanging(r)
		stuck := r.burst(16, "hung")
		r.wait(time.Second)
		for _, c := range stuck[4:12] {
			if err := r.alloc.Release(t.Context(), c.ID, c.Epoch); err != nil {
				t.Fatal(err)
			}
		}
		r.wait(time.Second)
		close(cloud.wake)
		for _, c := range stuck[12:] {
			r.wants(c.ID, nic.ClaimReady, 4*time.Second)
		}
		for _, c := range stuck[4:12] {
			for end := time.Now().Add(time.Minute); r.claim(c.ID).ID != ""; r.wait(100 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("a released claim stays: %+v", r.claim(c.ID))
				}
			}
		}
	})
}

// What a machine does not take just now is asked for again when it said, and
// counts for nothing.
func TestWhatIsPutOffIsNoSetback(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		for range 3 {
			r.cloud.Fail(fake.OpAttach, &provider.Error{Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: 3 * time.Second})
		}
		begin := time.Now()
		claim := r.wants(r.acquire("a001", "lab").ID, nic.ClaimReady, 20*time.Second)
		if took := time.Since(begin); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("ready after %s; want 3 times 3 s", took)
		}
		if calls := r.cloud.Counts()[fake.OpAttach].Calls; calls != 4 || len(claim.Setbacks)+len(claim.Conditions) > 0 {
			t.Errorf("%d calls; the claim is %+v", calls, claim)
		}
		if made := r.cloud.Counts()[fake.OpCreate].Effects; made != 1 {
			t.Errorf("%d NICs were made", made)
		}
	})
}
