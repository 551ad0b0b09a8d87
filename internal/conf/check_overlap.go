package conf

import (
	"cmp"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// A span is a range and the field that gives it.
type span struct {
	nic.Range
	path    string
	network int
	nth     int // in the file's order
}

// checkOverlaps sees to it that no address could be given out twice: ranges
// are apart within a space, and prefixes within a network. Prefixes of two
// networks may overlap, because the two may share a LAN.
func (d *doc) checkOverlaps(networks []network) {
	var order []string
	spaces := map[string][]span{}
	for i, n := range networks {
		if d.bad[under(item("networks", i), "space")] {
			continue
		}
		var prefixes []span
		if _, ok := spaces[n.Space]; !ok {
			order = append(order, n.Space)
		}
		for j, s := range n.Subnets {
			path := item(under(item("networks", i), "subnets"), j)
			if at := under(path, "prefix"); d.good(at) {
				prefixes = append(prefixes, span{prefixRange(s.Prefix), at, i, j})
			}
			for k, r := range s.Ranges {
				if r.First.IsValid() {
					nth := len(spaces[n.Space])
					spaces[n.Space] = append(spaces[n.Space], span{r, item(under(path, "ranges"), k), i, nth})
				}
			}
		}
		for _, pair := range overlaps(prefixes) {
			a, b := pair[0], pair[1]
			d.fault(b.path, "overlaps the subnet on line %d; a network's subnets must be apart", d.line(a.path))
		}
	}
	for _, space := range order {
		for _, pair := range overlaps(spaces[space]) {
			d.faultOverlap(pair[0], pair[1], networks)
		}
	}
}

func (d *doc) faultOverlap(a, b span, networks []network) {
	if a.network == b.network {
		d.fault(b.path, "%s overlaps %s on line %d", rangeText(b.Range), rangeText(a.Range), d.line(a.path))
		return
	}
	d.fault(b.path, "%s overlaps %s of network %s on line %d; only networks of different spaces may give the same addresses",
		rangeText(b.Range), rangeText(a.Range), quote(networks[a.network].Name), d.line(a.path))
}

// maxPairs bounds the overlaps that are looked for: far more than are told.
const maxPairs = 5 * maxFaults

// overlaps returns the pairs of spans that overlap, at most maxPairs, each with
// the one that is earlier in the file first.
func overlaps(spans []span) [][2]span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.nth, b.nth))
	})
	var pairs [][2]span
	var open []span // those begun that may reach the next one
	for _, b := range spans {
		open = slices.DeleteFunc(open, func(a span) bool { return a.Last.Less(b.First) })
		for _, a := range open {
			if len(pairs) == maxPairs {
				return pairs
			}
			if b.nth < a.nth {
				pairs = append(pairs, [2]span{b, a})
			} else {
				pairs = append(pairs, [2]span{a, b})
			}
		}
		open = append(open, b)
	}
	return pairs
}
