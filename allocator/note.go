package allocator

import (
	"maps"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// noteRounds is how often a NIC is to be plugged in by the commit that plans it, where
// others are quicker than that. From then on it is plugged in by the calls.
const noteRounds = 3

// plugByNote plugs the claim's NIC, which is planned by the same edit, in by that edit,
// if its provider only notes what it is told: both are in the records then as if
// every step had had its own commit. The provider's ledger is written as leader. In any
// doubt nothing is done, and the NIC goes the usual way; that of a claim on the move does
// too, whose move decides when it is ready.
func (a *Allocator) plugByNote(e *edit, claim *nic.Claim, n *nic.NIC, node nic.Node) {
	term, leads, all := a.leadsNow()
	noter, notes := provider.As[provider.Noter](a.opts.Providers[n.Provider])
	m := machineOf(*n)
	if claim.Phase != nic.ClaimPending || onMove(*claim) {
		return
	}
	if !leads || !notes || e.round >= noteRounds || !n.Spec.Functions.IsZero() || a.slots.isAwaited(m) {
		return
	}
	if ready, err := a.readyToNote(e, noter, *n, all); !ready || err != nil {
		return
	}
	start := time.Now()
	noted, err := noter.Note(e.ctx, n.Spec, node, nic.Place{Node: n.Node, Instance: n.Instance}, len(a.slots.on(m)))
	if err != nil {
		return
	}
	e.undo = append(e.undo, func() { noted.End(false) })
	e.after = append(e.after, func(store.Rev) { noted.End(true) })
	e.leadBy(term)
	for _, key := range slices.Sorted(maps.Keys(noted.Records)) {
		e.ops = append(e.ops, store.Create(ledgerKey(n.Provider, key), noted.Records[key]))
	}
	n.Spec, n.Placed, n.Asked, n.Seen = noted.Spec, true, a.now(), noted.Seen
	a.stepped(n, nic.StepPlaced)
	a.seenSteps(n)
	a.setPhase(n, nic.PhaseHeld)
	a.hand(claim, n)
	plugged, took := *n, time.Since(start)
	e.after = append(e.after, func(at store.Rev) {
		a.opts.Observer.Called(plugged.Provider, "note", resultOf(nil), took)
		if !all { // nobody follows what changes yet, and the node may wait for it
			a.changes.tell(plugged.Node, at)
		}
		_ = a.logged(plugged, "NIC plugged in", nil)
	})
}

// leadsNow is the term of this controller, if it does the work; all says whether it has
// seen all that there was before.
func (a *Allocator) leadsNow() (term store.Term, leads, all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all = a.leads && a.stage == stageLeading
	return a.term, all || a.leads && a.stage == stageRecovering, all
}

// bornReady says whether a claim that was not there before needs no work: it was made
// with its NIC.
func bornReady(c nic.Claim) bool { return c.Phase == nic.ClaimReady && restsClaim(c) }

// bornPlugged says that of its NIC.
func bornPlugged(n nic.NIC) bool {
	return n.Phase == nic.PhaseHeld && n.Holder != "" && isAtRest(n)
}
