package conf

import (
	"slices"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// A carried card is one that a network's containers get links on, as it is written.
type carried struct {
	line int
	network
}

// checkCarried sees to it that networks which give links on one card can give them
// beside each other: the kernel lets a card have macvlans or ipvlans, and refuses the
// other kind as long as one is there. It is told where both call the card by the same
// word and one node's containers may use both; elsewhere whoever comes second is refused
// on the node. Networks of different providers may be meant for different nodes, whose
// cards have one name: that is a warning. One that may fall back to either takes what
// the card has.
func (d *doc) checkCarried(networks []network, nodes map[string]Node) {
	first := map[string]map[nic.DeviceKind][]carried{} // of those that give one kind alone
	for i, n := range networks {
		path := item("networks", i)
		at, kind, cards := d.carries(path, n)
		if kind == "" {
			continue
		}
		other := nic.Macvlan
		if kind == nic.Macvlan {
			other = nic.Ipvlan
		}
		told := false
		for _, card := range cards {
			if first[card] == nil {
				first[card] = map[nic.DeviceKind][]carried{}
			}
			for _, before := range first[card][other] {
				if told || !canMeet(n, before.network, nodes) {
					continue
				}
				tell := d.fault
				if before.Provider != n.Provider {
					tell = d.warn
				}
				tell(at, "network %s on line %d gives %ss on %s, and the kernel lets a card have macvlans or ipvlans, not both: want one kind for all that share it",
					quote(before.Name), before.line, other, card)
				told = true
			}
			first[card][kind] = append(first[card][kind], carried{d.line(at), n})
		}
	}
}

// canMeet says whether containers of one node may use both networks.
func canMeet(a, b network, nodes map[string]Node) bool {
	both := func(tenants []string) bool {
		uses := func(n network) bool { return slices.ContainsFunc(tenants, nic.Network{Tenants: n.Tenants}.For) }
		return uses(a) && uses(b)
	}
	if len(nodes) == 0 {
		return both([]string{nic.DefaultTenant})
	}
	c := Controller{Nodes: nodes}
	for name := range nodes {
		if both(c.TenantsOf(name)) {
			return true
		}
	}
	return false
}

// carries says what kind of link a network's containers can get on which cards, by
// their words, and which field says so; empty for none, and for either.
func (d *doc) carries(path string, n network) (at string, kind nic.DeviceKind, cards []string) {
	if n.Macvlan != nil {
		at := under(under(path, "macvlan"), "parent")
		if !d.good(at) {
			return "", "", nil
		}
		return at, nic.Macvlan, []string{n.Macvlan.Parent}
	}
	if n.SRIOV == nil {
		return "", "", nil
	}
	var kinds []string
	for _, word := range n.SRIOV.Fallback {
		if word == string(nic.Macvlan) || word == string(nic.Ipvlan) {
			kinds = append(kinds, word)
		}
	}
	if len(slices.Compact(kinds)) != 1 {
		return "", "", nil
	}
	lists, _ := n.SRIOV.sides()
	for _, word := range slices.Concat(lists...) {
		if sel, err := sriov.ParseSelector(word); err == nil && !slices.Contains(cards, sel.PF) {
			cards = append(cards, sel.PF)
		}
	}
	return under(under(path, "sriov"), "fallback"), nic.DeviceKind(kinds[0]), cards
}
