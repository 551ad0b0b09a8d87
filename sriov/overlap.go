package sriov

import (
	"cmp"
	"maps"
	"slices"
)

// A Share is one selector by which VFs are given, with whose it is.
type Share struct {
	Selector
	// Owner is whose, such as a network by its place in the config.
	Owner int
	// Side is which of the owner's lists it stands in. A bond has two, and may be made
	// of any two of the cards that both name.
	Side int
}

// A Meeting is a VF that two shares have.
type Meeting struct {
	// Card is in the selectors' words, or as its node calls it.
	Card string
	// VF is its number.
	VF int
	// First and Last are the shares by their place in the list, First before Last.
	First, Last int
}

// LastVF is the highest number of a VF that can be written.
const LastVF = maxVF - 1

// Ranges are the selector's VFs by number, also if it has all.
func (s Selector) Ranges() []Span {
	if len(s.Spans) == 0 {
		return []Span{{First: 0, Last: LastVF}}
	}
	return s.Spans
}

// MeetingsByWord tells of each share one before it that has a VF of the same card in
// the same words: all that can be said before a node has told of its cards.
func MeetingsByWord(shares []Share) []Meeting {
	byWord := map[string][]stretch{}
	for i, s := range shares {
		for _, span := range s.Ranges() {
			byWord[s.PF] = append(byWord[s.PF], stretch{span, s, i})
		}
	}
	apart := func(a, b Share) bool { return a.Owner == b.Owner && a.Side != b.Side }
	var all []Meeting
	for _, word := range slices.Sorted(maps.Keys(byWord)) {
		all = append(all, meet(word, byWord[word], apart)...)
	}
	return all
}

// MeetingsOn tells of each card of a node and each share one before it, another
// owner's, that has one of the card's VFs, in whatever words.
func MeetingsOn(pfs []PF, shares []Share) []Meeting {
	apart := func(a, b Share) bool { return a.Owner == b.Owner }
	var all []Meeting
	for _, pf := range pfs {
		last := -1
		for _, vf := range pf.VFs {
			last = max(last, vf.Index)
		}
		var here []stretch
		for i, s := range shares {
			if !s.Matches(pf) {
				continue
			}
			for _, span := range s.Ranges() {
				if span.Last = min(span.Last, last); span.First <= span.Last {
					here = append(here, stretch{span, s, i})
				}
			}
		}
		all = append(all, meet(pf.Label(), here, apart)...)
	}
	return all
}

// A stretch is a span of a card's VFs, and the share that has it.
type stretch struct {
	Span
	share Share
	nth   int
}

// maxMeetings bounds the pairs of stretches of one card that are compared: far more
// than anybody is told of.
const maxMeetings = 1 << 20

// meet tells of each share of a card one before it that has a VF of it, but of those
// that are apart.
func meet(card string, all []stretch, apart func(a, b Share) bool) []Meeting {
	slices.SortStableFunc(all, func(a, b stretch) int { return cmp.Or(a.First-b.First, a.nth-b.nth) })
	told := map[int]bool{}
	compared := 0
	var meetings []Meeting
	var open []stretch // those begun that may reach the next one
	for _, s := range all {
		open = slices.DeleteFunc(open, func(o stretch) bool { return o.Last < s.First })
		for _, o := range open {
			if compared++; compared > maxMeetings {
				return meetings
			}
			first, last := min(o.nth, s.nth), max(o.nth, s.nth)
			if first == last || apart(s.share, o.share) || told[last] {
				continue
			}
			told[last] = true
			meetings = append(meetings, Meeting{card, s.First, first, last})
		}
		open = append(open, s)
	}
	return meetings
}
