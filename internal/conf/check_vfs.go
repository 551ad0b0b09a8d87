package conf

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/sriov"
)

// lastVF is the highest number of a VF that can be written.
const lastVF = 1<<16 - 2

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
		all = append(all, spansOf(s)...)
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

// spansOf are a selector's, also if it has all.
func spansOf(s sriov.Selector) []sriov.Span {
	if len(s.Spans) == 0 {
		return []sriov.Span{{First: 0, Last: lastVF}}
	}
	return s.Spans
}

// A vfRange is a span and the field that gives it.
type vfRange struct {
	sriov.Span
	path    string // of the selector
	side    string // of its list
	network int
	nth     int // in the file's order
}

// checkVFs sees to it that no VF could be given out by two networks, of whatever
// provider, as far as that can be said without the nodes' cards: where both name
// the card by the same word. Both sides of a bond may name the same cards.
func (d *doc) checkVFs(networks []network) {
	byPF := map[string][]vfRange{}
	nth := 0
	for i, n := range networks {
		if n.SRIOV == nil {
			continue
		}
		lists, fields := n.SRIOV.sides()
		for j, words := range lists {
			side := under(item("networks", i), "sriov") + "." + fields[j]
			for k, word := range words {
				sel, err := sriov.ParseSelector(word)
				if err != nil {
					continue // which is told
				}
				for _, span := range spansOf(sel) {
					byPF[sel.PF] = append(byPF[sel.PF], vfRange{span, item(side, k), side, i, nth})
				}
				nth++
			}
		}
	}
	for _, pf := range slices.Sorted(maps.Keys(byPF)) {
		d.checkCard(pf, byPF[pf], networks)
	}
}

// maxMeetings bounds the pairs of selectors of one card that are compared: far more
// than are told.
const maxMeetings = 1 << 20

// checkCard tells of each selector of a card one other that has a VF of it.
func (d *doc) checkCard(pf string, all []vfRange, networks []network) {
	slices.SortStableFunc(all, func(a, b vfRange) int { return cmp.Or(a.First-b.First, a.nth-b.nth) })
	told := map[string]bool{}
	compared := 0
	var open []vfRange // those begun that may reach the next one
	for _, r := range all {
		open = slices.DeleteFunc(open, func(o vfRange) bool { return o.Last < r.First })
		for _, o := range open {
			if compared++; compared > maxMeetings {
				return
			}
			if r.network == o.network && r.side != o.side {
				continue // a bond may be made of any two of the cards that both name
			}
			first, last := o, r
			if last.nth < first.nth {
				first, last = last, first
			}
			if told[last.path] {
				continue
			}
			told[last.path] = true
			d.faultMeeting(pf, r.First, first, last, networks)
		}
		open = append(open, r)
	}
}

// faultMeeting tells of a VF that two selectors have, at the later one.
func (d *doc) faultMeeting(pf string, vf int, first, last vfRange, networks []network) {
	if first.network == last.network {
		d.fault(last.path, "VF %d of %s is listed already on line %d", vf, pf, d.line(first.path))
		return
	}
	d.fault(last.path, "VF %d of %s is network %s's already, on line %d; a VF can be in one network: part them by number, as in %s#0-3",
		vf, pf, quote(networks[first.network].Name), d.line(first.path), pf)
}
