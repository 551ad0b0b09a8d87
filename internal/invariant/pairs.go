package invariant

import (
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// fits says which phases of a NIC go with a phase of the claim that has it.
var fits = map[nic.ClaimPhase][]nic.Phase{
	nic.ClaimPending:   {nic.PhasePlanned, nic.PhaseReturning, nic.PhaseCooling, nic.PhaseRetiring},
	nic.ClaimReady:     {nic.PhaseHeld},
	nic.ClaimBound:     {nic.PhaseHeld},
	nic.ClaimReleasing: {nic.PhaseReturning, nic.PhaseCooling, nic.PhaseRetiring},
	nic.ClaimMoving:    onTheMove,
	nic.ClaimParked:    onTheMove,
	nic.ClaimRefused:   {nic.PhaseReturning, nic.PhaseCooling, nic.PhaseRetiring},
}

// onTheMove are the phases of a NIC whose claim moves: it goes to and fro.
var onTheMove = []nic.Phase{nic.PhasePlanned, nic.PhaseHeld, nic.PhaseReturning, nic.PhaseRetiring}

// goingHome are the phases in which a NIC is no container's any more.
var goingHome = []nic.Phase{nic.PhaseReturning, nic.PhaseCooling, nic.PhaseRetiring}

// pairs finds claims and NICs that do not belong together as they should (P6,
// and P2 for NICs that are nobody's).
func (c *check) pairs() {
	for _, claim := range c.Records.Claims {
		n, ok := c.now.nics[claim.NIC]
		switch {
		case (claim.Move != nil) != slices.Contains([]nic.ClaimPhase{nic.ClaimMoving, nic.ClaimParked}, claim.Phase):
			c.add(P6, ids(claim.ID), "is %s, with the move %+v", claim.Phase, claim.Move)
		case claim.NIC == "":
			if slices.Contains([]nic.ClaimPhase{nic.ClaimReady, nic.ClaimBound, nic.ClaimReleasing}, claim.Phase) {
				c.add(P6, ids(claim.ID), "is %s and has no NIC", claim.Phase)
			}
		case !ok:
			c.add(P6, []string{string(claim.ID), string(claim.NIC)}, "the claim has a NIC without a record")
		case n.Holder != claim.ID:
			c.add(P6, []string{string(claim.ID), string(n.ID)}, "the claim has a NIC that is held by %q", n.Holder)
		case claim.Move != nil && (n.Node == claim.Move.To.Node || n.Node == claim.Move.From.Node) && slices.Contains(onTheMove, n.Phase):
		case n.Node != claim.Owner.Node && !slices.Contains(goingHome, n.Phase): // the claim has moved on, and waits for it to be gone
			c.add(P6, []string{string(claim.ID), string(n.ID)}, "the claim is of node %s, its NIC of node %s", claim.Owner.Node, n.Node)
		case !slices.Contains(fits[claim.Phase], n.Phase):
			c.add(P6, []string{string(claim.ID), string(n.ID)}, "the claim is %s and its NIC %s", claim.Phase, n.Phase)
		}
	}
	for _, n := range c.Records.NICs {
		claim, ok := c.now.claims[n.Holder]
		switch {
		case n.Holder == "" && n.Phase == nic.PhaseHeld:
			c.add(P2, ids(n.ID), "is held by nobody")
		case n.Holder != "" && n.Phase == nic.PhaseSpare:
			c.add(P2, ids(n.ID), "is spare and held by %s", n.Holder)
		case n.Holder != "" && (!ok || claim.NIC != n.ID):
			c.add(P2, ids(n.ID), "is %s for claim %s, which does not have it", n.Phase, n.Holder)
		}
	}
}

// lists finds what is listed of nodes and NICs that are not there (P2).
func (c *check) lists() {
	if c.Records.On == nil {
		return
	}
	for _, n := range c.Records.NICs {
		if c.Records.On[n.Node+"/"+string(n.ID)] != string(n.ID) {
			c.add(P2, ids(n.ID), "is not listed for its node %s, which is never told of it", n.Node)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Records.On)) {
		node, id, _ := strings.Cut(key, "/")
		if n, ok := c.now.nics[nic.ID(id)]; !ok || n.Node != node {
			c.add(P2, []string{id}, "is listed for node %s and is not there", node)
		}
	}
	for _, o := range c.Records.Observed {
		if _, ok := c.now.nics[o.NIC]; !ok {
			c.add(P2, ids(o.NIC), "a node's word about it has outlived its record")
		}
	}
}
