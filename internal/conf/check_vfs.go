package conf

import (
	"slices"
	"strings"

	"github.com/nicferry/nicferry/sriov"
)

// checkSides checks which VFs may be taken: one list, or two for a bond.
func (d *doc) checkSides(path string, s sriovSection) {
	pfsAt, bondAt := under(path, "pfs"), under(path, "bond")
	switch {
	case d.given(pfsAt) && d.given(bondAt):
		d.fault(bondAt, "pfs is given already on line %d; want one of the two", d.line(pfsAt))
	case !d.given(pfsAt) && !d.given(bondAt):
		d.fault(path, "want pfs, or bond for two cards as one")
	}
	if d.good(pfsAt) {
		d.checkSelectors(pfsAt, s.PFs)
	}
	if s.Bond == nil || d.bad[bondAt] {
		return
	}
	d.checkBond(path, s)
	aAt, bAt := under(bondAt, "a"), under(bondAt, "b")
	a, aWhole := d.checkSelectors(aAt, s.Bond.A)
	b, bWhole := d.checkSelectors(bAt, s.Bond.B)
	if !aWhole || !bWhole {
		return
	}
	if pf := onePF(a, b); pf != "" {
		d.fault(bAt, "both sides are %s: when its cable is pulled the bond is dead; want a card of its own here, on another switch", pf)
		return
	}
	if !counterparts(a, b) {
		d.fault(bAt, "no VF here has the number of one in a; a bond's members have the same number on their cards")
	}
}

// checkSelectors returns those of a list that can be read, and whether it is all.
func (d *doc) checkSelectors(path string, words []string) (all []sriov.Selector, whole bool) {
	if d.bad[path] || !d.given(path) {
		return nil, false
	}
	if len(words) == 0 {
		d.fault(path, "want at least one card")
	}
	for i, word := range words {
		at := item(path, i)
		if d.bad[at] {
			continue
		}
		sel, err := sriov.ParseSelector(word)
		if err != nil {
			d.faultErr(at, err)
			continue
		}
		all = append(all, sel)
	}
	return all, len(all) == len(words) && len(all) > 0
}

// onePF is the one card that both sides name; empty if there may be two.
func onePF(a, b []sriov.Selector) string {
	first := a[0].PF
	other := func(s sriov.Selector) bool { return s.PF != first }
	if strings.ContainsAny(first, "*?") || slices.ContainsFunc(a, other) || slices.ContainsFunc(b, other) {
		return ""
	}
	return first
}

// counterparts says whether both sides have VFs with one number.
func counterparts(a, b []sriov.Selector) bool {
	as, bs := numbers(a), numbers(b)
	for len(as) > 0 && len(bs) > 0 {
		switch {
		case as[0].Last < bs[0].First:
			as = as[1:]
		case bs[0].Last < as[0].First:
			bs = bs[1:]
		default:
			return true
		}
	}
	return false
}

// numbers are those of a side's VFs, by where they begin and joined where they meet.
func numbers(side []sriov.Selector) []sriov.Span {
	var all, joined []sriov.Span
	for _, s := range side {
		all = append(all, s.Ranges()...)
	}
	slices.SortFunc(all, func(a, b sriov.Span) int { return a.First - b.First })
	for _, s := range all {
		if n := len(joined); n > 0 && s.First <= joined[n-1].Last {
			joined[n-1].Last = max(joined[n-1].Last, s.Last)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// checkVFs sees to it that no VF could be given out by two networks, of whatever
// provider, as far as that can be said without the nodes' cards: where both name
// the card by the same word. Both sides of a bond may name the same cards.
func (d *doc) checkVFs(networks []network) {
	var shares []sriov.Share
	var paths []string // of their selectors
	for i, n := range networks {
		if n.SRIOV == nil {
			continue
		}
		lists, fields := n.SRIOV.sides()
		for side, words := range lists {
			at := under(item("networks", i), "sriov") + "." + fields[side]
			for k, word := range words {
				sel, err := sriov.ParseSelector(word)
				if err != nil {
					continue // which is told
				}
				shares, paths = append(shares, sriov.Share{Selector: sel, Owner: i, Side: side}), append(paths, item(at, k))
			}
		}
	}
	for _, m := range sriov.MeetingsByWord(shares) {
		first, line := shares[m.First], d.line(paths[m.First])
		if first.Owner == shares[m.Last].Owner {
			d.fault(paths[m.Last], "VF %d of %s is listed already on line %d", m.VF, m.Card, line)
			continue
		}
		d.fault(paths[m.Last], "VF %d of %s is network %s's already, on line %d; a VF can be in one network: part them by number, as in %s#0-3",
			m.VF, m.Card, quote(networks[first.Owner].Name), line, m.Card)
	}
}
