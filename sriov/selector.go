package sriov

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Span is the VFs numbered First to Last, both included, from 0.
type Span struct{ First, Last int }

// A Selector says which VFs may be used: those of the PFs that it matches, or some
// of them by number.
type Selector struct {
	// PF is the name of an interface, in which * and ? stand for any letters and
	// for any one, or a PCI address.
	PF string
	// Spans are the VFs by number; none are all. They are sorted and do not
	// overlap.
	Spans []Span
}

// ParseSelector reads "ens1f0", "ens1f*", "0000:03:00.0", and with numbers of VFs,
// from 0 as the kernel counts them, "ens1f0#0-3,6".
func ParseSelector(s string) (Selector, error) {
	pf, numbers, some := strings.Cut(s, "#")
	sel := Selector{PF: pf}
	if strings.Contains(pf, ":") {
		address, err := ParseAddress(pf)
		if err != nil {
			return Selector{}, fmt.Errorf("selector %q: %w", clip(s), err)
		}
		sel.PF = string(address)
	} else if err := checkPattern(pf); err != nil {
		return Selector{}, fmt.Errorf("selector %q: %w", clip(s), err)
	}
	if !some {
		return sel, nil
	}
	spans, err := parseSpans(numbers)
	if err != nil {
		return Selector{}, fmt.Errorf("selector %q: %w", clip(s), err)
	}
	sel.Spans = spans
	return sel, nil
}

func checkPattern(s string) error {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("_.-*?", rune(c)) {
			return errors.New("want the name of an interface, with * or ? in it if need be, or a PCI address")
		}
	}
	if s == "" || len(s) > 15 {
		return errors.New("want the name of an interface, of 1 to 15 bytes, or a PCI address")
	}
	return nil
}

func parseSpans(s string) ([]Span, error) {
	var all []Span
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, fromErr := strconv.ParseUint(first, 10, 16)
		to, toErr := strconv.ParseUint(last, 10, 16)
		if fromErr != nil || toErr != nil || from > to || to >= maxVF {
			return nil, fmt.Errorf("%q: want numbers of VFs such as 0-3,6, from 0 to %d", clip(part), maxVF-1)
		}
		all = append(all, Span{int(from), int(to)})
	}
	slices.SortFunc(all, func(a, b Span) int { return a.First - b.First })
	for i, s := range all[1:] {
		if s.First <= all[i].Last {
			return nil, fmt.Errorf("VF %d is named twice", s.First)
		}
	}
	return all, nil
}

// String is what ParseSelector reads.
func (s Selector) String() string {
	parts := make([]string, len(s.Spans))
	for i, span := range s.Spans {
		parts[i] = strconv.Itoa(span.First)
		if span.Last > span.First {
			parts[i] += "-" + strconv.Itoa(span.Last)
		}
	}
	if len(parts) == 0 {
		return s.PF
	}
	return s.PF + "#" + strings.Join(parts, ",")
}

// Matches says whether the PF is one of the selector's.
func (s Selector) Matches(pf PF) bool {
	if s.PF == string(pf.Address) {
		return true
	}
	ok, err := path.Match(s.PF, pf.Name)
	return err == nil && ok && pf.Name != ""
}

// Has says whether a PF's VF with that number, from 0, is one of the selector's.
func (s Selector) Has(index int) bool {
	return len(s.Spans) == 0 ||
		slices.ContainsFunc(s.Spans, func(span Span) bool { return span.First <= index && index <= span.Last })
}
