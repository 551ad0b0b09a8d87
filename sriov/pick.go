package sriov

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The kinds of refusal.
var (
	// ErrNoVF: no VF that is asked for is free.
	ErrNoVF = errors.New("no VF is free")
	// ErrNoPF: the node has no such PF.
	ErrNoPF = errors.New("no such PF")
	// ErrOnePF: a bond's members would be of one PF, and fail with it.
	ErrOnePF = errors.New("a bond needs two PFs")
)

// A Request asks for a VF, or for two that become a bond.
type Request struct {
	// Sides are the VFs that may be taken: one side for a VF, two for a bond, of
	// which each has a member of its own PF, both with the same number. Required.
	Sides [][]Selector
	// NUMA is the node that the container's processors are of, or None.
	NUMA int
	// Taken are VFs that are somebody's by what is recorded, whatever the card says.
	Taken map[Address]bool
	// Released is when VFs were given back last. Those that were after Since are
	// taken last of their like: who had them may still be tidying up, and peers may
	// still know their addresses. Both are optional.
	Released map[Address]time.Time
	Since    time.Time
}

// Pick chooses a VF for each side. Of those that are free it prefers a PF that has
// a link, then one that is near to the container's processors, then VFs that were
// not given back just now, then for a bond two cards rather than two ports of one,
// then the PF that has given out less of what it has, and then the VF that has
// rested for longest. The same question has the same answer. It errs with ErrNoVF,
// ErrNoPF or ErrOnePF, in words that say why.
func Pick(pfs []PF, r Request) ([]VF, error) {
	if len(r.Sides) < 1 || len(r.Sides) > 2 {
		return nil, fmt.Errorf("pick VFs for %d sides: a NIC has one, and a bond two", len(r.Sides))
	}
	p := picker{Request: r, loads: map[Address]int{}}
	for _, pf := range pfs {
		p.loads[pf.Address] = p.load(pf)
	}
	sides := make([][]PF, len(r.Sides))
	for i, side := range r.Sides {
		sides[i] = slices.DeleteFunc(slices.Clone(pfs), func(pf PF) bool { return !matches(side, pf) })
		if len(sides[i]) == 0 {
			return nil, fmt.Errorf("%w here as %s; this node has %s", ErrNoPF, listSelectors(side), listPFs(pfs))
		}
	}
	var best *candidate
	consider := func(c *candidate) {
		if best == nil || c.compare(best) < 0 {
			best = c
		}
	}
	if len(sides) == 1 {
		for _, pf := range sides[0] {
			for _, vf := range p.free(0, pf) {
				consider(p.judge([]PF{pf}, []VF{vf}))
			}
		}
	} else if err := p.pairs(sides[0], sides[1], consider); err != nil {
		return nil, err
	}
	if best == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoVF, p.account(sides))
	}
	return best.vfs, nil
}

type picker struct {
	Request
	loads map[Address]int // in ten-thousandths
}

// pairs considers all VFs that have the same number on two PFs.
func (p *picker) pairs(as, bs []PF, consider func(*candidate)) error {
	two := false
	for _, a := range as {
		for _, b := range bs {
			if a.Address == b.Address {
				continue
			}
			two = true
			others := map[int]VF{}
			for _, vf := range p.free(1, b) {
				others[vf.Index] = vf
			}
			for _, vf := range p.free(0, a) {
				if other, ok := others[vf.Index]; ok {
					consider(p.judge([]PF{a, b}, []VF{vf, other}))
				}
			}
		}
	}
	if !two {
		return fmt.Errorf("%w: both sides are %s, and its link is one", ErrOnePF, as[0].Label())
	}
	return nil
}

// free are the PF's VFs that the side may take.
func (p *picker) free(side int, pf PF) []VF {
	return slices.DeleteFunc(slices.Clone(pf.VFs), func(vf VF) bool {
		return vf.Use.How != Free || p.Taken[vf.Address] || !has(p.Sides[side], pf, vf)
	})
}

// load is the part of the PF's VFs that somebody has.
func (p *picker) load(pf PF) int {
	taken := 0
	for _, vf := range pf.VFs {
		if vf.Use.Busy() || p.Taken[vf.Address] {
			taken++
		}
	}
	return taken * 10000 / max(len(pf.VFs), 1)
}

// A candidate is what could be taken, with all that it is judged by: the less of
// each, the better.
type candidate struct {
	vfs      []VF
	dark     int // members without a link
	far      int // members far from the processors
	hasty    int // members that were given back just now
	together int // 1 if both are ports of one card
	load     int
	released time.Time
}

func (p *picker) judge(pfs []PF, vfs []VF) *candidate {
	c := &candidate{vfs: vfs}
	for i, pf := range pfs {
		released := p.Released[vfs[i].Address]
		c.dark += one(!pf.Link.Carrier)
		c.far += one(p.NUMA != None && pf.NUMA != None && pf.NUMA != p.NUMA)
		c.hasty += one(!p.Since.IsZero() && released.After(p.Since))
		c.load += p.loads[pf.Address]
		if released.After(c.released) {
			c.released = released
		}
	}
	c.together = one(len(pfs) == 2 && pfs[0].Address.Card() == pfs[1].Address.Card())
	return c
}

func (c *candidate) compare(o *candidate) int {
	return cmp.Or(
		cmp.Compare(c.dark, o.dark), cmp.Compare(c.far, o.far), cmp.Compare(c.hasty, o.hasty),
		cmp.Compare(c.together, o.together), cmp.Compare(c.load, o.load), c.released.Compare(o.released),
		slices.CompareFunc(c.vfs, o.vfs, func(a, b VF) int {
			return cmp.Or(cmp.Compare(a.PF, b.PF), cmp.Compare(a.Index, b.Index))
		}),
	)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func matches(side []Selector, pf PF) bool {
	return slices.ContainsFunc(side, func(s Selector) bool { return s.Matches(pf) })
}

func has(side []Selector, pf PF, vf VF) bool {
	return slices.ContainsFunc(side, func(s Selector) bool { return s.Matches(pf) && s.Has(vf.Index) })
}

// account says of each PF that was asked for where its VFs are.
func (p *picker) account(sides [][]PF) string {
	var parts []string
	for i, side := range sides {
		for _, pf := range side {
			var here, taken, used, bare, free int
			for _, vf := range pf.VFs {
				switch {
				case !has(p.Sides[i], pf, vf):
					continue
				case p.Taken[vf.Address]:
					taken++
				case vf.Use.Busy():
					used++
				case vf.Use.How == Bare:
					bare++
				default:
					free++ // and its counterpart is not
				}
				here++
			}
			text := fmt.Sprintf("%s has %d: %d given out, %d used by others", pf.Label(), here, taken, used)
			if bare > 0 {
				text += fmt.Sprintf(", %d without a driver", bare)
			}
			if free > 0 {
				text += fmt.Sprintf(", %d whose counterpart is not free", free)
			}
			if len(pf.VFs) == 0 {
				text = fmt.Sprintf("%s has none; nicferry-agent sriov enable makes them", pf.Label())
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "; ")
}

func listSelectors(all []Selector) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = s.String()
	}
	return strings.Join(words, " or ")
}

func listPFs(all []PF) string {
	if len(all) == 0 {
		return "none with SR-IOV"
	}
	words := make([]string, len(all))
	for i, pf := range all {
		words[i] = pf.Label()
	}
	return strings.Join(words, ", ")
}
