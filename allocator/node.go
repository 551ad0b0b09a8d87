package allocator

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Hello begins a new session of a node's agent and ends its earlier ones. Its
// number is above those of all before, also of those before the node was
// forgotten.
func (a *Allocator) Hello(ctx context.Context, name string, inv nic.Inventory) (nic.Node, error) {
	if err := nic.CheckName("node", name); err != nil {
		return nic.Node{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	instances, mayJoin := a.opts.Instances(name)
	if !mayJoin {
		return nic.Node{}, fmt.Errorf("node %q: %w: it is not among the nodes of the controller's config", name, ErrRefused)
	}
	inv.Cards = boundedCards(inv.Cards)
	var node nic.Node
	err := a.atomically(ctx, func(e *edit) error {
		old, rev, known, err := get[nic.Node](e, nodeKey(name))
		if err != nil {
			return err
		}
		if err := admitAgain(ctx, old); err != nil {
			return err
		}
		if err := regain(e, old); err != nil {
			return err
		}
		a.heard(name)
		_, now, err := a.opts.Store.List(ctx, nodeKey(name), "", 1)
		if err != nil {
			return err
		}
		session := old.Session + 1
		if !known { // each session has cost a commit, so the revision is above all that were
			session = uint64(now) + 1
		}
		node = nic.Node{
			Schema: nic.Schema, Name: name, Instances: instances, Phase: nic.NodeReady,
			Session: session, Inventory: inv, LastSeen: a.now(), Join: api.JoinOf(ctx),
		}
		e.update(nodeKey(name), node, rev)
		if old.Inventory.Boot != "" && old.Inventory.Boot != inv.Boot {
			return startAfresh(e, name)
		}
		return nil
	})
	return node, err
}

// heard notes that a node gave a sign of life.
func (a *Allocator) heard(node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lastSeen[node] = a.now()
}

// heardAfter says whether the node has given a sign of life since t.
func (a *Allocator) heardAfter(node string, t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lastSeen[node].After(t)
}

// comeBack notes that a node lives which an operator has called gone: its agent
// asks or reports, in its newest session. What is not given up yet stays.
func (a *Allocator) comeBack(ctx context.Context, name string, session uint64) error {
	return a.atomically(ctx, func(e *edit) error {
		node, rev, found, err := get[nic.Node](e, nodeKey(name))
		if err != nil || !found || node.Phase != nic.NodeLost || node.Session != session {
			return err
		}
		node.Phase = nic.NodeReady
		e.update(nodeKey(name), node, rev)
		return nil
	})
}

// withLife fills in what is only in memory: when the node was last heard, and what
// keeps it from being served.
func (a *Allocator) withLife(node nic.Node) nic.Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, ok := a.lastSeen[node.Name]; ok {
		node.LastSeen = at
	}
	node.Conditions = append(a.storeCondition(), a.outageConditions(func(name string) bool {
		_, ok := node.Instances[name]
		return ok || len(node.Instances) == 0
	})...)
	node.Conditions = append(node.Conditions, a.overlaps.of(node.Name)...)
	switch {
	case !node.Revoked.IsZero():
		nic.SetCondition(&node.Conditions, revoked(node))
	case a.since(node.LastSeen) > a.opts.SilentAfter && node.Phase != nic.NodeLost:
		node.Phase = nic.NodeSilent
		nic.SetCondition(&node.Conditions, nic.Condition{
			Reason: nic.ReasonNodeSilent, Since: node.LastSeen,
			Message: "its agent has said nothing since; its NICs, MACs and addresses stay reserved until it is back, or until: nicferry node forget " + node.Name,
		})
	}
	return node
}

// maxReported bounds the NICs of one report: each is looked up.
const maxReported = 20_000

// Report takes a node's word about its NICs. A session older than the node's
// newest is ErrStale, and so is an older epoch than a claim's, from an agent that
// says its session with the call; nothing of the report is taken then. Of others
// what is reported of a NIC or claim that has moved on is passed over: the node
// will see so itself in what is wanted of it.
func (a *Allocator) Report(ctx context.Context, name string, report nic.NodeReport) error {
	if len(report.NICs) > maxReported {
		return fmt.Errorf("report of node %s: %w: of %d NICs, at most %d", name, ErrInvalid, len(report.NICs), maxReported)
	}
	freed := 0 // VFs
	err := a.atomically(ctx, func(e *edit) error {
		node, rev, found, err := peek[nic.Node](e, nodeKey(name))
		switch {
		case err != nil:
			return err
		case !found:
			return fmt.Errorf("node %q: %w: its agent has not said hello", name, ErrNotFound)
		case fenced && node.Session != report.Session:
			return stale("report", node, report.Session)
		}
		if err := cmp.Or(admitNode("report", node), fence(ctx, "report", node)); err != nil {
			return err
		}
		a.heard(name) // an agent that has been replaced is no sign of life, nor is a name from the wire
		seen := map[nic.ID]bool{}
		for _, o := range report.NICs {
			if seen[o.NIC] {
				return fmt.Errorf("report of node %s: %w: NIC %s twice", name, ErrInvalid, o.NIC)
			}
			seen[o.NIC] = true
			if err := fenceEpoch(e, o); err != nil {
				return err
			}
			if err := a.observe(e, node, o); err != nil {
				return err
			}
		}
		dealt := false
		dealt, freed = deal(&node, report.Cards)
		switch {
		case node.Phase == nic.NodeLost: // it is not
			node.Phase = nic.NodeReady
			e.update(nodeKey(name), node, rev)
		case dealt:
			e.update(nodeKey(name), node, rev)
		case len(e.ops) > 0:
			e.check(nodeKey(name), rev) // a newer session must not be overtaken
		}
		return nil
	})
	if err == nil && report.Census != nil {
		a.censuses.put(name, boundedCensus(*report.Census))
	}
	if err == nil && freed > 0 {
		return a.lift(ctx, name, freed)
	}
	return err
}

// deal notes a node's cards as it tells them, and says whether they are others, and how
// many VFs are free that were not.
func deal(node *nic.Node, cards *[]nic.Card) (news bool, freed int) {
	if cards == nil {
		return false, 0
	}
	now := boundedCards(*cards)
	same := func(a, b nic.Card) bool { return reflect.DeepEqual(a, b) }
	if slices.EqualFunc(now, node.Inventory.Cards, same) {
		return false, 0
	}
	before := freeVFs(node.Inventory.Cards)
	for pci := range freeVFs(now) {
		if !before[pci] {
			freed++
		}
	}
	node.Inventory.Cards = now
	return true, freed
}

// observe takes one NIC's report: its own record, and what follows for the
// NIC and its claim.
func (a *Allocator) observe(e *edit, node nic.Node, o nic.Observed) error {
	o = bounded(o)
	n, rev, found, err := get[nic.NIC](e, nicKey(o.NIC))
	if err != nil || !found || n.Node != node.Name || n.Turn != o.Turn {
		return err
	}
	cleaned := n.Phase == nic.PhaseReturning && o.State == nic.ObservedClean && !n.Clean
	if cleaned {
		n.Clean = true
		nic.ClearCondition(&n.Conditions, nic.ReasonWaitingForNode)
	}
	if stateOf(n) == pool.Spare && o.State == nic.ObservedMade {
		a.spares.came(n)
	}
	former := noteFormer(&n, o, node.Inventory.Boot)
	news := a.noteUnseen(&n, o) || cleaned || former
	old, oldRev, _, err := get[nic.Observed](e, observedKey(o.NIC))
	if err != nil {
		return err
	}
	bound := false
	if o.Claim != "" && o.Claim == n.Holder {
		if bound, err = moveClaim(e, o, unseen(n)); err != nil {
			return err
		}
		if bound || news || !o.Repeats(old) { // else nothing would be written
			news = a.nodeSteps(&n, o, bound) || news
		}
	}
	if news {
		e.update(nicKey(n.ID), n, rev)
	}
	if !o.Repeats(old) {
		o.At, o.Steps = a.now(), nil // they are in the NIC's record
		e.update(observedKey(o.NIC), o, oldRev)
		if !news {
			e.check(nicKey(n.ID), rev) // what is said of a NIC must not outlive its record
		}
	}
	return nil
}

// moveClaim moves the claim along with what its node reports, and says whether it
// is bound by now, or in the container that it moves to or from. missing is the condition of a NIC that is waited for there.
func moveClaim(e *edit, o nic.Observed, missing *nic.Condition) (bound bool, err error) {
	claim, rev, found, err := get[nic.Claim](e, claimKey(o.Claim))
	if err != nil || !found || claim.Epoch != o.Epoch || claim.NIC != o.NIC {
		return false, err
	}
	if onMove(claim) {
		return o.State == nic.ObservedIn, nil // its move reads what is observed, and decides
	}
	changed := false
	if claim.Request.Unstarted && !o.Unstarted {
		claim.Request.Unstarted, changed = false, true
		claim.StoppedAt = time.Time{}
	}
	before := claim
	switch {
	case o.Running:
		claim.StoppedAt = time.Time{}
	case claim.StoppedAt.IsZero() && !claim.Request.Unstarted:
		claim.StoppedAt = e.now()
	}
	switch {
	case missing != nil:
		changed = nic.SetCondition(&claim.Conditions, *missing) || changed
	case claim.Phase == nic.ClaimReady || claim.Phase == nic.ClaimBound:
		changed = nic.ClearCondition(&claim.Conditions, nic.ReasonWaitingForNIC, nic.ReasonVFUnusable, nic.ReasonCardBusy) || changed
	}
	if o.State == nic.ObservedClean { // from here on its NIC waits for the provider
		changed = nic.ClearCondition(&claim.Conditions, nic.ReasonWaitingForNode) || changed
	}
	switch {
	case o.State == nic.ObservedIn && claim.Phase == nic.ClaimReady:
		e.setClaimPhase(&claim, nic.ClaimBound)
	case o.State != nic.ObservedIn && claim.Phase == nic.ClaimBound:
		e.setClaimPhase(&claim, nic.ClaimReady)
	}
	if changed || claim.Phase != before.Phase || !claim.StoppedAt.Equal(before.StoppedAt) {
		e.update(claimKey(claim.ID), claim, rev)
	}
	return claim.Phase == nic.ClaimBound && before.Phase != nic.ClaimBound, nil
}
