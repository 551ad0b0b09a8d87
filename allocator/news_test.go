package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// reportSteps is report with what the node has done.
func (r *rig) reportSteps(claim nic.Claim, state nic.ObservedState, steps ...nic.NodeStep) {
	r.t.Helper()
	err := r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{
		NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: state, Running: true, Steps: steps,
	}}})
	if err != nil {
		r.t.Fatalf("report %s: %v", state, err)
	}
	synctest.Wait()
}

// heard starts an allocator anew whose events are remembered.
func (r *rig) heard() *events.Log {
	r.t.Helper()
	r.stop()
	happened := events.New(events.Options{})
	r.startWith(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks, Events: happened,
	})
	synctest.Wait()
	return happened
}

// toldBy are the reasons of the events that are about a claim, or about none.
func toldBy(l *events.Log, of func(api.Event) bool) string {
	var all []string
	for _, e := range l.After("", 0, 0).Items {
		if of(e) {
			all = append(all, string(e.Reason))
		}
	}
	return strings.Join(all, " ")
}

func after(name nic.StepName, d time.Duration) nic.NodeStep {
	return nic.NodeStep{Name: name, After: nic.Duration(d)}
}

func (r *rig) steps(id nic.ClaimID) string {
	r.t.Helper()
	view, err := r.alloc.Claim(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	var texts []string
	for _, s := range view.Steps {
		texts = append(texts, fmt.Sprintf("%s %.1f+%.1f", s.Name, s.Start, s.Took))
	}
	return strings.Join(texts, ", ")
}

// What became of a claim is told once, in order; and its steps are timed by the
// controller's clock, whatever the node's says, through a crash in the middle.
func TestALifesEventsAndSteps(t *testing.T) {
	t.Parallel()
	bubble(t, fake.Options{Latency: fake.Latency{Create: time.Second, Attach: 2 * time.Second}}, func(t *testing.T, r *rig) {
		first := r.heard()
		claim := r.acquire("0001", "lab")
		of := func(e api.Event) bool { return e.Claim == claim.ID }
		r.wait(1500 * time.Millisecond) // created by now
		if got, want := toldBy(first, of), "ClaimAsked NICPlanned WaitingForProvider"; got != want {
			t.Errorf("told: %s; want %s", got, want)
		}
		before := r.steps(claim.ID)
		second := r.heard()
		r.wants(claim.ID, nic.ClaimReady, 10*time.Second)
		claim = r.claim(claim.ID)
		if got := r.steps(claim.ID); !strings.HasPrefix(got, before) || !strings.Contains(before, "created ") {
			t.Errorf("the crash has made of %s: %s", before, got)
		}
		r.wait(4 * time.Second)
		r.reportSteps(claim, nic.ObservedMade, after(nic.StepFound, time.Second), after(nic.StepMoved, 2*time.Second), after(nic.StepReported, 3*time.Second))
		// The agent was started anew: it was told later, and what it did again is not news.
		r.wait(5 * time.Second)
		r.reportSteps(claim, nic.ObservedIn, after(nic.StepFound, 0), after(nic.StepMoved, 0), after(nic.StepLeased, time.Second),
			after(nic.StepAddressed, 2*time.Second), after(nic.StepReported, 4*time.Second))
		view, err := r.alloc.Claim(t.Context(), claim.ID)
		if err != nil {
			t.Fatal(err)
		}
		at := func(name nic.StepName) time.Time {
			i := slices.IndexFunc(view.Steps, func(s api.StepTime) bool { return s.Name == name })
			if i < 0 {
				t.Fatalf("no step %s in %s", name, r.steps(claim.ID))
			}
			return view.Steps[i].At
		}
		bound := at(nic.StepBound)
		for name, want := range map[nic.StepName]time.Duration{
			nic.StepFound: 7 * time.Second, nic.StepMoved: 6 * time.Second, nic.StepLeased: 3 * time.Second, nic.StepAddressed: 2 * time.Second,
		} {
			if got := bound.Sub(at(name)); got != want {
				t.Errorf("%s was %s before it was bound, want %s", name, got, want)
			}
		}
		var names []string
		for _, s := range view.Steps {
			names = append(names, string(s.Name))
		}
		if got, want := strings.Join(names, " "), "asked planned placed created attached found moved leased addressed bound"; got != want {
			t.Errorf("steps: %s; want %s", got, want)
		}
		whole := r.steps(claim.ID)
		r.reportSteps(claim, nic.ObservedMade, after(nic.StepFound, 0), after(nic.StepReported, 0)) // it was stopped and started
		r.reportSteps(claim, nic.ObservedIn, after(nic.StepFound, 0), after(nic.StepReported, 0))
		if got := r.steps(claim.ID); got != whole {
			t.Errorf("a restart of the container has made of %s: %s", whole, got)
		}
		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.report(r.claim(claim.ID), nic.ObservedClean, false)
		r.wait(time.Minute)
		// It was bound twice, which moved that behind all that was before.
		want := "ClaimReady NICHeld ClaimReady ClaimBound ClaimReleasing NICReturning WaitingForNode NICRetiring ClaimEnded NICGone"
		if got := toldBy(second, of); got != want {
			t.Errorf("told: %s; want %s", got, want)
		}
		for _, e := range second.After("", 0, 0).Items {
			if of(e) && e.Reason == "ClaimBound" && (e.Count != 2 || e.Container != "0001" || e.Network != "lab" || e.Node != "vm1") {
				t.Errorf("the event is %+v", e)
			}
		}
	})
}

// A claim that is refused says why, as a warning, and one that waits says for what.
func TestRefusalsAndNodesAreTold(t *testing.T) {
	t.Parallel()
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		happened := r.heard()
		for _, name := range []string{"0001", "0002"} {
			r.acquire(name, "web", "10.0.0.10")
		}
		r.acquire("0003", "nowhere")
		r.wait(time.Second)
		got := toldBy(happened, func(e api.Event) bool { return e.Type == api.EventWarning })
		if want := "AddressTaken UnknownNetwork"; got != want {
			t.Errorf("warnings: %s; want %s", got, want)
		}
		r.wait(10 * time.Minute)
		if _, err := r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.alloc.Hello(t.Context(), "vm2", nic.Inventory{Boot: "b2"}); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.wait(10 * time.Minute)
		if _, err := r.alloc.ForgetNode(t.Context(), "vm2", false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.alloc.RevokeNode(t.Context(), "vm1", false, false); err != nil {
			t.Fatal(err)
		}
		node := func(name string) string {
			return toldBy(happened, func(e api.Event) bool {
				return e.Node == name && e.Claim == "" && strings.HasPrefix(string(e.Reason), "Node")
			})
		}
		if got, want := node("vm1"), "NodeSilent NodeReady NodeReady NodeSilent NodeRevoked"; got != want {
			t.Errorf("vm1: %s; want %s", got, want)
		}
		if got, want := node("vm2"), "NodeJoined NodeSilent NodeForgotten NodeForgotten"; got != want {
			t.Errorf("vm2: %s; want %s", got, want)
		}
	})
}

// A brokenStore takes no records.
type brokenStore struct{ store.Store }

func (brokenStore) Commit(context.Context, ...store.Op) (store.Rev, error) {
	return 0, errors.New("no space left on device")
}

// What is not committed has not happened.
func TestNothingIsToldThatIsNotStored(t *testing.T) {
	t.Parallel()
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		happened := events.New(events.Options{})
		alloc, err := allocator.New(allocator.Options{
			Store: brokenStore{r.store}, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
			Log: discard(), Events: happened,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := alloc.Acquire(t.Context(), owner("0001"), "web", nic.Request{Interface: "eth0", Network: "lab"}); !errors.Is(err, allocator.ErrStore) {
			t.Errorf("got %v, want ErrStore", err)
		}
		if got := toldBy(happened, func(api.Event) bool { return true }); got != string(nic.ReasonStoreUnreachable) {
			t.Errorf("told: %s", got)
		}
	})
}

// A node may say what it likes of its steps: they stay few, known and in order.
func TestHostileSteps(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		said []nic.NodeStep
		want string
	}{
		"no report":       {[]nic.NodeStep{after(nic.StepFound, time.Second)}, ""},
		"the controllers": {[]nic.NodeStep{after(nic.StepBound, 0), after(nic.StepAsked, 0), after("\x1b", 0), after(nic.StepReported, 0)}, ""},
		"in the future":   {[]nic.NodeStep{after(nic.StepFound, time.Hour), after(nic.StepReported, time.Second)}, ""},
		"before all":      {[]nic.NodeStep{after(nic.StepFound, math.MinInt64), after(nic.StepMoved, 0), after(nic.StepReported, math.MaxInt64)}, "moved"},
		"twice": {
			slices.Concat(slices.Repeat([]nic.NodeStep{after(nic.StepFound, 0)}, 100), []nic.NodeStep{after(nic.StepReported, 0)}), "found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
				claim := r.acquire("0001", "lab")
				r.wants(claim.ID, nic.ClaimReady, time.Minute)
				claim = r.claim(claim.ID)
				before, _ := r.alloc.Claim(t.Context(), claim.ID)
				r.wait(time.Minute)
				r.reportSteps(claim, nic.ObservedMade, tc.said...)
				now, _ := r.alloc.Claim(t.Context(), claim.ID)
				var names []string
				for i, s := range now.Steps {
					if s.Took < 0 {
						t.Errorf("%s took %f", s.Name, s.Took)
					}
					if i >= len(before.Steps) {
						names = append(names, string(s.Name))
					}
				}
				if got := strings.Join(names, " "); got != tc.want {
					t.Errorf("steps are %q, want %q", got, tc.want)
				}
			})
		})
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
