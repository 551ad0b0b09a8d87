package allocator_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// blind plays a guest that never sees its NICs and gives back what it is told
// to, for as long.
func (r *rig) blind(id nic.ClaimID, d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); r.wait(time.Second) {
		wanted, _, err := r.alloc.Wanted(r.t.Context(), "vm1", r.node.Session)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, w := range wanted {
			o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Running: true, State: nic.ObservedWaiting}
			o.Conditions = []nic.Condition{{Reason: nic.ReasonWaitingForNIC, Message: "not here"}}
			if w.Gone {
				o.State, o.Conditions = nic.ObservedClean, nil
			}
			if w.NIC != "" {
				r.say(o)
			}
		}
		if r.claim(id).Phase == nic.ClaimRefused {
			r.acquire("0001", "lab") // the agent's resync
		}
	}
}

// F09: the hypervisor calls it attached and the guest never shows it. The wait
// is named, the NIC is given back and another is tried, a few times.
func TestF09_ANICThatTheGuestNeverSeesIsGivenBack(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Second)
		r.blind(claim.ID, 5*time.Second)
		got := r.claim(claim.ID)
		want := "provider fake says attached at 0000:05:00.0, the guest vm1 has not seen MAC " + got.Identity.MAC.String()
		if len(got.Conditions) != 1 || got.Conditions[0].Reason != nic.ReasonWaitingForNIC || got.Conditions[0].Deadline.IsZero() ||
			!strings.Contains(got.Conditions[0].Message, want) {
			t.Errorf("while it is waited for: %+v; want a named wait with a deadline and %q", got.Conditions, want)
		}
		r.crash()
		r.blind(claim.ID, 40*time.Second)
		if got = r.claim(claim.ID); got.NIC == claim.NIC || len(got.Setbacks) != 1 {
			t.Errorf("after the deadline: %+v; want another NIC", got)
		}
		r.blind(claim.ID, 10*time.Minute)
		got = r.claim(claim.ID)
		if got.Phase != nic.ClaimRefused || !strings.Contains(got.Conditions[0].Message, want) || !strings.HasPrefix(got.Conditions[0].Message, "NICs made in vain within the hour: 5, ") {
			t.Errorf("at last: %s, %+v", got.Phase, got.Conditions)
		}
		made := r.cloud.Counts()[fake.OpCreate].Effects
		if seen, _ := r.cloud.List(t.Context()); made != 5 || len(seen) != 0 {
			t.Errorf("%d NICs were made, want 5; the cloud still has %v", made, seen)
		}
		// The guest is booted anew: what kept its NICs from it may be gone.
		var err error
		if r.node, err = r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b2"}); err != nil {
			t.Fatal(err)
		}
		r.acquire("0001", "lab")
		got = r.wants(claim.ID, nic.ClaimReady, time.Second)
		r.report(got, nic.ObservedIn, true)
		if got = r.wants(claim.ID, nic.ClaimBound, time.Second); len(got.Conditions) != 0 {
			t.Errorf("once it is seen: %+v, want no condition", got.Conditions)
		}
	})
}

// A NIC that comes late, and then goes, is not given back before its time.
func TestF09_ANICThatComesLateIsKept(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Second)
		for range 3 {
			r.blind(claim.ID, 25*time.Second)
			r.report(claim, nic.ObservedIn, true)
			if got := r.wants(claim.ID, nic.ClaimBound, time.Second); len(got.Conditions) != 0 || got.NIC != claim.NIC {
				t.Fatalf("once it is seen: %+v", got)
			}
		}
	})
}

// The other half: the provider has lost it.
func TestF09_TheHalfThatFailedIsNamed(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Second)
		if err := r.cloud.Detach(t.Context(), claim.NIC, "vm1"); err != nil { // by hand
			t.Fatal(err)
		}
		r.blind(claim.ID, 33*time.Second)
		got := r.claim(claim.ID)
		if len(got.Setbacks) != 1 || !strings.Contains(got.Setbacks[0].Message, "provider fake has not plugged it in: the NIC is available") {
			t.Errorf("got %+v", got.Setbacks)
		}
	})
}

// F16: a demand that can never be met makes a few NICs an hour, and says why.
func TestF16_AHopelessDemandMakesFewNICs(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.cloud.Fail(fake.OpAttach, provider.ErrDenied)
		claim := r.acquire("0001", "lab")
		for hour := range 2 {
			for range 200 {
				r.cloud.Fail(fake.OpAttach, provider.ErrDenied)
			}
			if hour == 0 {
				r.wait(14 * time.Second) // the first tries are 5 and 10 s apart
				if made := r.cloud.Counts()[fake.OpCreate].Effects; made != 2 {
					t.Errorf("%d NICs were made within 14 s, want 2", made)
				}
			}
			for range 110 { // the agent asks again and again
				r.wait(30 * time.Second)
				r.acquire("0001", "lab")
			}
			if made := r.cloud.Counts()[fake.OpCreate].Effects; made > 5*(hour+1) {
				t.Errorf("%d NICs were made within %d h", made, hour+1)
			}
			got := r.claim(claim.ID)
			if got.Phase != nic.ClaimRefused || !strings.Contains(got.Conditions[0].Message, "denied") {
				t.Errorf("claim is %s, %+v", got.Phase, got.Conditions)
			}
		}
		r.stop()
		r.cloud.Forgive()
		r.start()
		r.wants(claim.ID, nic.ClaimReady, time.Hour) // by itself
	})
}

// F10: a guest that hangs holds on to its NIC. That is shown, and waited for.
func TestF10_ADetachThatDoesNotEndIsShown(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		r.cloud.Stick(claim.NIC)
		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
			t.Fatal(err)
		}
		r.report(claim, nic.ObservedClean, false)
		r.wait(10 * time.Minute)
		view, err := r.alloc.NIC(t.Context(), claim.NIC)
		if err != nil || !slices.ContainsFunc(view.Conditions, func(c nic.Condition) bool {
			return c.Reason == nic.ReasonWaitingForProvider && strings.Contains(c.Message, "detaching from vm1")
		}) {
			t.Errorf("NIC shows %+v, %v", view.Conditions, err)
		}
		if other := r.acquire("0002", "web", claim.Identity.Addrs[0].Addr().String()); other.Phase != nic.ClaimRefused {
			t.Errorf("another got its address: %+v", other)
		}
		r.cloud.Unstick(claim.NIC)
		r.wait(10 * time.Second)
		if got := r.claim(claim.ID); got.ID != "" {
			t.Errorf("once the guest has let go: %+v", got)
		}
	})
}

// A NIC is looked at in the rhythm of hypervisors.
func TestAPluggedNICIsSeenSoon(t *testing.T) {
	for attach, within := range map[time.Duration]time.Duration{
		15 * time.Millisecond: 25 * time.Millisecond, 50 * time.Millisecond: 65 * time.Millisecond,
		130 * time.Millisecond: 150 * time.Millisecond, 10 * time.Second: 10500 * time.Millisecond,
	} {
		bubble(t, fake.Options{Latency: fake.Latency{Attach: attach, Detach: attach}}, func(t *testing.T, r *rig) {
			claim := r.acquire("0001", "lab")
			r.wait(within)
			if got := r.claim(claim.ID); got.Phase != nic.ClaimReady {
				t.Errorf("attached after %s: after %s it is %s", attach, within, got.Phase)
			}
			claim = r.claim(claim.ID)
			if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
				t.Fatal(err)
			}
			r.report(claim, nic.ObservedClean, false)
			r.wait(within + attach/2 + 60*time.Millisecond)
			if got := r.claim(claim.ID); got.ID != "" {
				t.Errorf("detached after %s: the claim is still there, %s", attach, got.Phase)
			}
			if gets := r.cloud.Counts()[fake.OpGet].Calls; gets > 60 {
				t.Errorf("it took %d looks", gets)
			}
		})
	}
}

// hinting is a cloud that tells of its changes.
type hinting struct {
	*fake.Provider
	hints chan nic.ID
}

func (h hinting) Hints(ctx context.Context, hint func(nic.ID)) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-h.hints:
			hint(id)
		}
	}
}

func TestAHintSavesTheWait(t *testing.T) {
	const attach = 2310 * time.Millisecond
	bubble(t, fake.Options{Latency: fake.Latency{Attach: attach}}, func(t *testing.T, r *rig) {
		r.stop()
		told := hinting{r.cloud, make(chan nic.ID)}
		r.via = told
		r.start()
		claim := r.acquire("0001", "lab")
		r.wait(attach)
		told.hints <- "nic-0000000000000000" // another's says nothing of this one
		r.wait(time.Millisecond)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimPending {
			t.Fatalf("it is %s without a hint; the test shows nothing", got.Phase)
		}
		told.hints <- ""
		r.wait(time.Millisecond)
		if got := r.claim(claim.ID); got.Phase != nic.ClaimReady {
			t.Errorf("after the hint it is %s, want ready", got.Phase)
		}
	})
}
