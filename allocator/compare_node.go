package allocator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// claims compares claims with the NICs that they name, and with the containers
// that their nodes' engines know.
func (c *comparison) claims() {
	for _, id := range slices.Sorted(maps.Keys(c.after.claims)) {
		claim := c.after.claims[id]
		if before, ok := c.before.claims[id]; !ok || before.NIC != claim.NIC {
			continue // it is on its way
		}
		if onMove(claim) {
			continue // its move decides
		}
		if _, ok := c.after.nics[claim.NIC]; claim.NIC != "" && !ok {
			c.withoutNIC(claim)
		}
		f := finding{does: release, Finding: api.Finding{Kind: api.FindingClaimWithoutContainer, Claim: id, NIC: claim.NIC, Node: claim.Owner.Node}}
		census, counted := c.censuses[claim.Owner.Node]
		switch _, known := c.after.nodes[claim.Owner.Node]; {
		case claim.Phase == nic.ClaimReleasing:
		case !known:
			f.Message = fmt.Sprintf("is of container %q on node %s, and there is no such node", claim.Container, claim.Owner.Node)
			c.add(f)
		case counted && !slices.Contains(census.Containers, claim.Owner.Sandbox):
			f.Message = fmt.Sprintf("is of container %q, which the engine of node %s does not know; its agent releases it when the container's process is gone too",
				claim.Container, claim.Owner.Node)
			c.add(f)
		}
	}
}

// held finds NICs whose claim is gone or has another.
func (c *comparison) held() {
	for _, n := range sortedNICs(c.after.nics) {
		claim, ok := c.after.claims[n.Holder]
		was, before := c.before.claims[n.Holder]
		if n.Phase != nic.PhaseHeld || !c.wasAndIsInUse(n) || ok && claim.NIC == n.ID || before && was.NIC == n.ID {
			continue
		}
		c.add(finding{does: sendHome, Finding: api.Finding{
			Kind: api.FindingNICWithoutClaim, NIC: n.ID, Claim: n.Holder, Node: n.Node, Provider: n.Provider,
			Message: "is held by a claim that has no record, or has another NIC",
		}})
	}
}

// withoutNIC is a claim whose NIC has no record. Where the provider has the NIC,
// it is left where it is.
func (c *comparison) withoutNIC(claim nic.Claim) {
	f := finding{does: renew, Finding: api.Finding{
		Kind: api.FindingClaimWithoutNIC, Claim: claim.ID, NIC: claim.NIC, Node: claim.Owner.Node,
		Message: "names a NIC that has no record",
	}}
	for _, name := range slices.Sorted(maps.Keys(c.providers)) {
		s := c.providers[name]
		seen, sure := s.says(claim.NIC)
		switch at := c.nodeAt(name, seen.Place); {
		case s.err != nil:
			f.does, f.Message = tellOnly, f.Message+fmt.Sprintf("; provider %s, which may have it, does not answer", name)
		case seen.State == "" && s.list[claim.NIC].State == "":
		case !sure || moving(seen.State):
			f.does, f.Message = tellOnly, f.Message+fmt.Sprintf("; provider %s is at it", name)
		case seen.State == nic.StateAttached && at == claim.Owner.Node:
			f.does, f.seen, f.Provider = restore, seen, name
			f.Message += fmt.Sprintf(", and provider %s has plugged in", name)
		default: // of no use to the claim: it is given back like any other without a record
			f.Message += fmt.Sprintf("; at provider %s it is %s", name, seen.State)
		}
	}
	c.add(f)
}

// onNodes compares what nodes have with the records, both ways.
func (c *comparison) onNodes() {
	for _, n := range sortedNICs(c.after.nics) {
		census, counted := c.censuses[n.Node]
		said := c.after.observed[n.ID]
		in := c.wasAndIsInUse(n) && said.State == nic.ObservedIn && said.Running && c.before.observed[n.ID].State == nic.ObservedIn
		if counted && in && !slices.Contains(census.NICs, n.ID) {
			c.add(finding{does: lookAgain, Finding: api.Finding{
				Kind: api.FindingNotOnNode, NIC: n.ID, Claim: n.Holder, Node: n.Node,
				Message: "is in its container by its record, and nowhere on the node",
			}})
		}
	}
	for _, node := range slices.Sorted(maps.Keys(c.censuses)) {
		for _, s := range c.censuses[node].Strays {
			c.strayOn(node, s)
		}
	}
}

func (c *comparison) strayOn(node string, s nic.Stray) {
	f := finding{stray: s, Finding: api.Finding{Kind: api.FindingLeftOnNode, NIC: s.NIC, Node: node, Link: s.Link}}
	kind := nic.DeviceKind(s.Kind)
	made := kind.Made() && !kind.Functions() // whose recipe no mark tells
	switch {
	case s.NIC == "":
		f.Kind = api.FindingForeign
		f.Message = fmt.Sprintf("looks like nicferry's (%s, MAC %s) and carries no mark of it: it is left alone", kindOfLink(s), s.MAC)
	case c.recorded(s.NIC) || c.claimed(s.NIC) || c.listed(s.NIC):
		return // its record knows better, or its provider
	case made:
		f.Message, f.does = fmt.Sprintf("is a %s with the mark of a NIC that has no record", s.Kind), collect
	default:
		f.Message = fmt.Sprintf("is %s with the mark of a NIC that has no record; its provider has to unplug it", kindOfLink(s))
	}
	c.add(f)
}

// listed says whether a provider has the NIC, and has been compared.
func (c *comparison) listed(id nic.ID) bool {
	for _, s := range c.providers {
		if seen, sure := s.says(id); sure && seen.State != "" {
			return true
		}
	}
	return false
}

func kindOfLink(s nic.Stray) string {
	if s.Kind == "" {
		return "hardware"
	}
	return s.Kind
}

// indexes finds what leads nowhere within the store. One reading is enough: all
// of it is as of one revision.
func (c *comparison) indexes() {
	add := func(key, message string) {
		c.add(finding{does: dropIndex, index: key, Finding: api.Finding{Kind: api.FindingDangling, Message: key + " " + message}})
	}
	for _, key := range slices.Sorted(maps.Keys(c.after.owners)) {
		claim, ok := c.after.claims[c.after.owners[key]]
		switch {
		case !ok:
			add(key, "is the index of a claim that has no record")
		case ownerKey(claim.Owner) != key && !(onMove(claim) && ownerKey(claim.Move.To) == key):
			add(key, fmt.Sprintf("is the index of claim %s, which is another owner's", claim.ID))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.after.reserved)) {
		r := c.after.reserved[key]
		if _, ok := c.after.claims[r.Claim]; !ok && r.Held() && r.Claim != "" {
			add(key, fmt.Sprintf("is reserved for claim %s, which has no record", r.Claim))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.after.reserved)) {
		if of := carrierIn(key); of != "" && c.after.nics[of].ID == "" {
			add(key, "is of a seat on a NIC that has no record")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.after.on)) {
		n, ok := c.after.nics[c.after.on[key]]
		if node, _, _ := strings.Cut(strings.TrimPrefix(key, onRoot), "/"); !ok && !c.claimed(c.after.on[key]) || ok && n.Node != node {
			add(key, "says that the node has a NIC that it has not")
		}
	}
}

// leftBehind finds what is said of containers that have given their claims away,
// and that their nodes' engines know no more.
func (c *comparison) leftBehind() {
	for _, key := range slices.Sorted(maps.Keys(c.after.moved)) {
		node, sandbox, _ := strings.Cut(strings.TrimPrefix(key, movedPrefix), "/")
		sandbox, _, _ = strings.Cut(sandbox, "/")
		if census, counted := c.censuses[node]; counted && !slices.Contains(census.Containers, sandbox) {
			c.add(finding{does: dropIndex, index: key, Finding: api.Finding{
				Kind: api.FindingDangling, Node: node, Message: key + " is of a container that has moved, and is gone where it was",
			}})
		}
	}
}
