package allocator

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A remedy is what can be done about a finding.
type remedy string

// The remedies, in the words that users read.
const (
	tellOnly  remedy = ""
	collect   remedy = "take it back and delete it"
	restore   remedy = "write its record anew"
	elsewhere remedy = "have the provider unplug it from all other nodes"
	plugAgain remedy = "have the provider plug it in again"
	lookAgain remedy = "have the node look again, which makes it anew"
	renew     remedy = "give the claim a new NIC"
	sendHome  remedy = "take it back"
	release   remedy = "release the claim"
	dropIndex remedy = "drop the index's record"
	adopt     remedy = "write its record anew, and give it back or to its claim"
	republish remedy = "have the provider make the claim another"
)

// A finding is one that can be acted upon.
type finding struct {
	api.Finding
	does  remedy
	seen  nic.Seen  // for collect, restore
	stray nic.Stray // for collect of what a node has
	index string    // for dropIndex: the key
	// addr is the public address, for adopt and republish.
	addr netip.Addr
}

// key is what makes a finding the same as an earlier one.
func (f finding) key() string {
	return fmt.Sprint(f.Kind, "/", f.NIC, "/", f.Claim, "/", f.Node, "/", f.Provider, "/", f.Link, "/", f.index, "/", f.does)
}

// A comparison is what is concluded from facts. It decides and does nothing.
type comparison struct {
	facts
	out []finding
}

// compare returns all differences, in an order that does not change.
func (f facts) compare() []finding {
	c := comparison{facts: f}
	c.unheard()
	for _, name := range slices.Sorted(maps.Keys(f.providers)) {
		if f.providers[name].err == nil {
			c.atProvider(name)
		}
	}
	c.claims()
	c.held()
	c.onNodes()
	c.indexes()
	c.leftBehind()
	c.publicAddresses()
	c.shared()
	return c.out
}

func (c *comparison) add(f finding) {
	f.Remedy = string(f.does)
	c.out = append(c.out, f)
}

// unheard tells of those of whom nothing can be concluded.
func (c *comparison) unheard() {
	for _, name := range slices.Sorted(maps.Keys(c.providers)) {
		if err := c.providers[name].err; err != nil {
			c.add(finding{Finding: api.Finding{
				Kind: api.FindingProviderUnreachable, Provider: name,
				Message: fmt.Sprintf("nothing is concluded about its NICs: %s", err),
			}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.mute)) {
		c.add(finding{Finding: api.Finding{
			Kind: api.FindingNodeSilent, Node: name,
			Message: fmt.Sprintf("%s; its NICs, MACs and addresses stay reserved; if it is gone for good: nicferry node forget %s", c.mute[name], name),
		}})
	}
}

// atProvider compares a provider with the store, both ways.
func (c *comparison) atProvider(name string) {
	s := c.providers[name]
	for _, id := range slices.Sorted(maps.Keys(s.list)) {
		if !c.recorded(id) && !c.claimed(id) {
			c.unrecorded(name, s, id)
		}
	}
	seats := seatsIn(c.after.nics)
	for _, n := range sortedNICs(c.after.nics) {
		if n.Provider == name && !seats[n.ID] && c.wasAndIsInUse(n) {
			c.plugged(name, s, n)
		}
	}
}

// claimed says whether a claim names the NIC.
func (c *comparison) claimed(id nic.ID) bool {
	for _, claim := range c.after.claims {
		if claim.NIC == id {
			return looksAround
		}
	}
	return false
}

func (c *comparison) unrecorded(name string, s said, id nic.ID) {
	listed := s.list[id]
	seen, sure := s.says(id)
	f := finding{seen: seen, Finding: api.Finding{Kind: api.FindingUnrecorded, NIC: id, Provider: name, Node: c.nodeAt(name, listed.Place)}}
	where := ""
	if listed.Place.Instance != "" {
		where = fmt.Sprintf(" at %s", listed.Place.Instance)
	}
	f.Message = fmt.Sprintf("is %s%s and has no record", listed.State, where)
	switch {
	case seen.State == "" && listed.State == nic.StateFailed:
		f.Message = listed.Reason // the provider shows it and does not call it its own
	case seen.State == "":
		f.Kind, f.Message = api.FindingContradiction, f.Message+"; asked for it alone the provider knows nothing of it, so its list is an old one"
	case !sure:
		f.Kind, f.Message = api.FindingContradiction, fmt.Sprintf("%s; asked for it alone the provider says %s", f.Message, seen.State)
	case moving(seen.State):
		f.Message += "; it is looked at again when that has ended"
	case seen.Place.Instance != "" && f.Node == "":
		f.Message += "; that is no node of this controller, so nobody says whether it is in use"
	default:
		f.does = collect
	}
	c.add(f)
}

// moving says whether a NIC is on its way: somebody may be at it.
func moving(s nic.State) bool {
	switch s {
	case nic.StateAvailable, nic.StateAttached, nic.StateFailed:
		return false
	}
	return looksAround
}

// nodeAt is the node whose machine a place is; empty if it is none of ours.
func (c *comparison) nodeAt(provider string, at nic.Place) string {
	for _, name := range slices.Sorted(maps.Keys(c.after.nodes)) {
		if at.Instance != "" && instanceOf(c.after.nodes[name], provider) == at.Instance {
			return name
		}
	}
	return ""
}

// plugged compares a NIC that is in use with what its provider says.
func (c *comparison) plugged(name string, s said, n nic.NIC) {
	listed := s.list[n.ID]
	if listed.State == nic.StateAttached && listed.Place.Instance == n.Instance {
		return
	}
	seen, sure := s.says(n.ID)
	f := finding{Finding: api.Finding{Kind: api.FindingNotAtProvider, NIC: n.ID, Claim: n.Holder, Node: n.Node, Provider: name}}
	f.Message = fmt.Sprintf("is %s by its record, and %s at the provider", n.Phase, cmp.Or(string(listed.State), "absent"))
	switch {
	case !sure:
		f.Kind, f.Message = api.FindingContradiction, fmt.Sprintf("%s's list; asked for it alone the provider says %s", f.Message, cmp.Or(string(seen.State), "nothing"))
	case seen.State == nic.StateFailed:
		f.Message, f.does = f.Message+": "+seen.Reason, elsewhere
	case seen.State == nic.StateAttached:
		f.Message, f.does = fmt.Sprintf("is plugged into %s and belongs on %s", seen.Place.Instance, n.Instance), elsewhere
	case moving(seen.State) && seen.State != "":
		f.Message += "; it is looked at again when that has ended"
	default:
		f.does = plugAgain
	}
	c.add(f)
}

func sortedNICs(m map[nic.ID]nic.NIC) []nic.NIC {
	return slices.SortedFunc(maps.Values(m), func(x, y nic.NIC) int { return cmp.Compare(x.ID, y.ID) })
}
