package sriov

import (
	"slices"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// bound says which networks give links of one kind alone, and on which cards: of this
// provider those with one kind of fallback, and of others those of macvlans. Whoever can
// have something else leaves such a card to them. What is on a node they do not say.
type bound struct {
	links []boundLink
	// tenants are those that a node may serve; nil is that it serves any.
	tenants func(node string) []string
}

type boundLink struct {
	network nic.Network
	cards   []sriov.Selector
	kind    nic.DeviceKind
}

func newBound(networks []nic.Network, tenants func(node string) []string) bound {
	b := bound{tenants: tenants}
	for _, n := range networks {
		l := boundLink{network: n}
		words := slices.Concat(n.Functions.PFs...)
		kinds := slices.Compact(slices.Sorted(slices.Values(n.Functions.Fallback)))
		switch {
		case n.Functions.IsZero() && n.Device.Kind == nic.Macvlan && n.Device.Parent != "":
			l.kind, words = nic.Macvlan, []string{n.Device.Parent}
		case len(kinds) == 1:
			l.kind = kinds[0]
		default:
			continue
		}
		for _, word := range words {
			if sel, err := sriov.ParseSelector(word); err == nil {
				l.cards = append(l.cards, sel)
			}
		}
		b.links = append(b.links, l)
	}
	return b
}

// otherwise says whether other networks that a node's containers may use give links on
// the card, all of another kind.
func (b bound) otherwise(network, node string, card sriov.PF, kind nic.DeviceKind) bool {
	other := false
	for _, l := range b.links {
		switch {
		case l.network.Name == network || !b.reaches(node, l.network):
		case !slices.ContainsFunc(l.cards, func(s sriov.Selector) bool { return s.Matches(card) }):
		case l.kind == kind:
			return false
		default:
			other = true
		}
	}
	return other
}

func (b bound) reaches(node string, n nic.Network) bool {
	return b.tenants == nil || slices.ContainsFunc(b.tenants(node), n.For)
}
