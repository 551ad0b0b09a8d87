package allocator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// fallen is a claim of the network cards that fell back and is in its container, and
// the claim that has the only VF.
func (r *rig) fallen() (fallen, has nic.Claim) {
	r.t.Helper()
	has = r.wants(r.acquire("0001", "cards").ID, nic.ClaimReady, time.Minute)
	r.report(has, nic.ObservedIn, true)
	fallen = r.wants(r.acquire("0002", "cards").ID, nic.ClaimReady, time.Minute)
	r.report(fallen, nic.ObservedIn, true)
	fallen = r.wants(fallen.ID, nic.ClaimBound, time.Second)
	if got := r.reasons(fallen.ID); got != string(nic.ReasonFellBack) {
		r.t.Fatalf("the claim that fell back says %q", got)
	}
	return fallen, has
}

// S0-11: a claim that fell back is promoted once a VF is free: what it has goes first,
// and is told so as on a move, so that no lease is given back; then it gets the VF,
// with its MAC. Until a VF is free nothing is taken from it.
func TestPromoteGivesAVFOnceOneIsFree(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim, has := r.fallen()
		if _, err := r.alloc.Promote(t.Context(), claim.ID, false); !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), "keeps a macvlan on ens1f0") {
			t.Errorf("without a free VF: %v", err)
		}
		r.wait(time.Second)
		if now := r.claim(claim.ID); now.NIC != claim.NIC || now.Phase != nic.ClaimBound {
			t.Fatalf("it was taken back all the same: %+v", now)
		}
		r.free(has)
		r.wait(time.Second)
		plan, err := r.alloc.Promote(t.Context(), claim.ID, true)
		if err != nil || plan.NIC != claim.NIC || plan.Has != "a macvlan on ens1f0" || plan.Gets != "a VF" || !plan.CutsOff || plan.OtherMAC {
			t.Errorf("the plan is %+v, %v", plan, err)
		}
		r.wait(time.Second)
		if now := r.claim(claim.ID); now.NIC != claim.NIC || now.Phase != nic.ClaimBound {
			t.Fatalf("a plan changed something: %+v", now)
		}
		if _, err := r.alloc.Promote(t.Context(), claim.ID, false); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		if w := r.wanted(claim); !w.Gone || !w.Moves || w.Claim != claim.ID {
			t.Errorf("of what it had is wanted %+v; want it gone, and the claim to go on", w)
		}
		if _, err := r.alloc.Promote(t.Context(), claim.ID, false); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("a second time: %v", err)
		}
		r.report(r.claim(claim.ID), nic.ObservedClean, true)
		now := r.wants(claim.ID, nic.ClaimReady, time.Minute)
		d := r.wanted(now).Device
		if d.Kind != nic.SRIOV || d.VF.Set.MAC != claim.Identity.MAC || now.NIC == claim.NIC || now.Epoch != claim.Epoch {
			t.Errorf("it has %+v, and is %+v", d, now)
		}
		r.report(now, nic.ObservedIn, true)
		if got := r.reasons(claim.ID); got != "" {
			t.Errorf("it says %q still", got)
		}
		if _, err := r.alloc.Promote(t.Context(), claim.ID, false); !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), "has VF 0 of") {
			t.Errorf("what has a VF: %v", err)
		}
		r.free(now)
		r.wait(time.Minute)
		r.emptyStore()
	})
}

// One that was faster leaves the promoted claim with what it had; whoever dies on the
// way leaves what the next controller goes on with.
func TestPromoteHasAWayBackAndSurvivesACrash(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim, has := r.fallen()
		r.free(has)
		r.wait(time.Second)
		if _, err := r.alloc.Promote(t.Context(), claim.ID, false); err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.startVFs()
		r.wants(r.acquire("0003", "strict").ID, nic.ClaimReady, time.Minute)
		r.report(r.claim(claim.ID), nic.ObservedClean, true)
		r.stop()
		r.startVFs()
		now := r.wants(claim.ID, nic.ClaimReady, time.Minute)
		if d := r.wanted(now).Device; d.Kind != nic.Macvlan || d.MAC != claim.Identity.MAC {
			t.Errorf("it has %+v, want a macvlan again", d)
		}
		if got := r.reasons(claim.ID); got != string(nic.ReasonFellBack) {
			t.Errorf("it says %q", got)
		}
	})
}

// Without a fallback in the config there is no way back: nothing is taken out.
func TestPromoteNeedsAWayBack(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim, has := r.fallen()
		r.free(has)
		fallback := r.networks[0].Functions.Fallback
		with := func(fallback []nic.DeviceKind) {
			t.Helper()
			r.stop()
			r.networks[0].Functions.Fallback = fallback
			r.startVFs()
			r.wait(time.Second)
		}
		with(nil)
		for _, dry := range []bool{true, false} {
			_, err := r.alloc.Promote(t.Context(), claim.ID, dry)
			if !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), `keeps a macvlan on ens1f0: network "cards" has no fallback any more`) {
				t.Errorf("dry %t: %v", dry, err)
			}
		}
		r.wait(time.Second)
		if now := r.claim(claim.ID); now.NIC != claim.NIC || now.Phase != nic.ClaimBound {
			t.Fatalf("it was taken back all the same: %+v", now)
		}
		with(fallback)
		if _, err := r.alloc.Promote(t.Context(), claim.ID, false); err != nil {
			t.Fatal(err)
		}
		r.report(r.claim(claim.ID), nic.ObservedClean, true)
		now := r.wants(claim.ID, nic.ClaimReady, time.Minute)
		if d := r.wanted(now).Device; d.Kind != nic.SRIOV {
			t.Errorf("it has %+v, want the VF", d)
		}
	})
}

// Of two claims that fell back one is promoted at a time: the other would be cut off in
// vain.
func TestPromoteIsOneAtATime(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim, has := r.fallen()
		other := r.wants(r.acquire("0003", "cards").ID, nic.ClaimReady, time.Minute)
		r.free(has)
		r.wait(time.Second)
		if _, err := r.alloc.Promote(t.Context(), claim.ID, false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.alloc.Promote(t.Context(), other.ID, false); !errors.Is(err, provider.ErrBusy) || !strings.Contains(err.Error(), string(claim.NIC)) {
			t.Errorf("the other: %v", err)
		}
		for what, id := range map[string]nic.ClaimID{"no claim": nic.NewClaimID(), "of a bond": r.acquire("0004", "bonds").ID} {
			if _, err := r.alloc.Promote(t.Context(), id, true); !errors.Is(err, allocator.ErrNotFound) && !errors.Is(err, allocator.ErrRefused) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
