package sriov_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/sriov"
)

// cards are n PFs with so many free VFs: ens1f0 at 0000:03:00.0, ens1f1 at
// 0000:04:00.0 and so on, all with a link and of no NUMA node.
func cards(n, vfs int) []sriov.PF {
	all := make([]sriov.PF, n)
	for i := range all {
		pf := &all[i]
		*pf = sriov.PF{
			Address: sriov.Address(fmt.Sprintf("0000:%02x:00.0", 3+i)), Name: fmt.Sprintf("ens1f%d", i), Driver: "igb",
			NUMA: sriov.None, Group: sriov.None, TotalVFs: 63, NumVFs: vfs, Link: sriov.Link{Up: true, Carrier: true},
		}
		for v := range vfs {
			pf.VFs = append(pf.VFs, sriov.VF{
				PF: pf.Address, Index: v, Address: sriov.Address(fmt.Sprintf("0000:%02x:%02x.%d", 3+i, 0x10+v/4, v%4*2)),
				Name: fmt.Sprintf("ens1f%dv%d", i, v), Driver: "igbvf", NUMA: sriov.None, Group: sriov.None, Use: sriov.Use{How: sriov.Free},
			})
		}
	}
	return all
}

func ask(t *testing.T, sides ...string) sriov.Request {
	t.Helper()
	r := sriov.Request{NUMA: sriov.None, Taken: map[sriov.Address]bool{}, Released: map[sriov.Address]time.Time{}}
	for _, side := range sides {
		var all []sriov.Selector
		for s := range strings.FieldsSeq(side) {
			all = append(all, sel(t, s))
		}
		r.Sides = append(r.Sides, all)
	}
	return r
}

// got are the VFs as PF index and VF index, such as "0.2 1.2".
func got(pfs []sriov.PF, vfs []sriov.VF) string {
	words := make([]string, len(vfs))
	for i, vf := range vfs {
		at := slices.IndexFunc(pfs, func(pf sriov.PF) bool { return pf.Address == vf.PF })
		words[i] = fmt.Sprintf("%d.%d", at, vf.Index)
	}
	return strings.Join(words, " ")
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestPick(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sides  []string
		change func(pfs []sriov.PF, r *sriov.Request)
		want   string
	}{
		"the first":                      {[]string{"ens1f*"}, nil, "0.0"},
		"the PF that is asked for":       {[]string{"ens1f1"}, nil, "1.0"},
		"the numbers that are asked for": {[]string{"ens1f0#2-3"}, nil, "0.2"},
		"what is taken is passed over": {[]string{"ens1f0"}, func(pfs []sriov.PF, r *sriov.Request) {
			r.Taken[pfs[0].VFs[0].Address] = true
			pfs[0].VFs[1].Use = sriov.Use{How: sriov.Elsewhere}
			pfs[0].VFs[2].Use = sriov.Use{How: sriov.Bare}
		}, "0.3"},
		"even load": {[]string{"ens1f*"}, func(pfs []sriov.PF, r *sriov.Request) { r.Taken[pfs[0].VFs[3].Address] = true }, "1.0"},
		"even load of cards of different size": {[]string{"ens1f*"}, func(pfs []sriov.PF, r *sriov.Request) {
			pfs[1].VFs = pfs[1].VFs[:2]
			r.Taken[pfs[0].VFs[0].Address] = true // a quarter
			r.Taken[pfs[1].VFs[0].Address] = true // half
		}, "0.1"},
		"load counts what others use": {[]string{"ens1f*"}, func(pfs []sriov.PF, _ *sriov.Request) { pfs[0].VFs[3].Use.How = sriov.Joined }, "1.0"},
		"near the processors": {[]string{"ens1f*"}, func(pfs []sriov.PF, r *sriov.Request) {
			pfs[0].NUMA, pfs[1].NUMA, r.NUMA = 0, 1, 1
			r.Taken[pfs[1].VFs[0].Address] = true
		}, "1.1"},
		"far before none": {[]string{"ens1f0"}, func(pfs []sriov.PF, r *sriov.Request) { pfs[0].NUMA, r.NUMA = 0, 1 }, "0.0"},
		"a link before near": {[]string{"ens1f*"}, func(pfs []sriov.PF, r *sriov.Request) {
			pfs[0].NUMA, pfs[1].NUMA, r.NUMA = 0, 1, 0
			pfs[0].Link.Carrier = false
		}, "1.0"},
		"just released is last": {[]string{"ens1f0"}, func(pfs []sriov.PF, r *sriov.Request) {
			for v := range 3 {
				r.Released[pfs[0].VFs[v].Address] = noon.Add(time.Duration(v) * time.Minute)
			}
			r.Since = noon.Add(-time.Minute)
		}, "0.3"},
		"just released on an emptier PF": {[]string{"ens1f*"}, func(pfs []sriov.PF, r *sriov.Request) {
			r.Taken[pfs[1].VFs[0].Address] = true
			for _, vf := range pfs[0].VFs {
				r.Released[vf.Address] = noon
			}
			r.Since = noon.Add(-time.Minute)
		}, "1.1"},
		"just released before none": {[]string{"ens1f0#1"}, func(pfs []sriov.PF, r *sriov.Request) {
			r.Released[pfs[0].VFs[1].Address], r.Since = noon, noon.Add(-time.Minute)
		}, "0.1"},
		"the one that rested for longest": {[]string{"ens1f0"}, func(pfs []sriov.PF, r *sriov.Request) {
			for v := range 4 {
				r.Released[pfs[0].VFs[v].Address] = noon.Add(-time.Duration(v%3) * time.Minute)
			}
		}, "0.2"},
		"a bond":                  {[]string{"ens1f0", "ens1f1"}, nil, "0.0 1.0"},
		"a bond's sides in order": {[]string{"ens1f1", "ens1f0"}, nil, "1.0 0.0"},
		"a bond has one number": {[]string{"ens1f0", "ens1f1"}, func(pfs []sriov.PF, r *sriov.Request) {
			r.Taken[pfs[0].VFs[0].Address] = true
			r.Taken[pfs[1].VFs[1].Address] = true
		}, "0.2 1.2"},
		"a bond over two cards": {[]string{"ens1f0", "ens1f*"}, func(pfs []sriov.PF, r *sriov.Request) {
			pfs[1].Address = "0000:03:00.1" // the other port of the first card
			r.Taken[pfs[2].VFs[0].Address] = true
		}, "0.1 2.1"},
		"a bond over two ports before none": {[]string{"ens1f0", "ens1f1"}, func(pfs []sriov.PF, _ *sriov.Request) {
			pfs[1].Address = "0000:03:00.1"
			for v := range pfs[1].VFs {
				pfs[1].VFs[v].PF = pfs[1].Address
			}
		}, "0.0 1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pfs, r := cards(3, 4), ask(t, c.sides...)
			if len(c.sides) == 1 { // two are enough to tell
				pfs = pfs[:2]
			}
			if c.change != nil {
				c.change(pfs, &r)
			}
			vfs, err := sriov.Pick(pfs, r)
			if err != nil || got(pfs, vfs) != c.want {
				t.Errorf("picked %s, %v; want %s", got(pfs, vfs), err, c.want)
			}
		})
	}
}

// F40: each refusal has its kind and says why.
func TestPickRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sides  []string
		change func(pfs []sriov.PF, r *sriov.Request)
		kind   error
		want   string
	}{
		"no such PF": {[]string{"ens9"}, nil, sriov.ErrNoPF, "no such PF here as ens9; this node has ens1f0 (0000:03:00.0), ens1f1 (0000:04:00.0)"},
		"all used": {[]string{"ens1f0"}, func(pfs []sriov.PF, r *sriov.Request) {
			r.Taken[pfs[0].VFs[0].Address] = true
			pfs[0].VFs[1].Use.How = sriov.UserSpace
			pfs[0].VFs[2].Use.How = sriov.Bare
			pfs[0].VFs[3].Use.How = sriov.Up
		}, sriov.ErrNoVF, "ens1f0 (0000:03:00.0) has 4: 1 given out, 2 used by others, 1 without a driver"},
		"none made":             {[]string{"ens1f0"}, func(pfs []sriov.PF, _ *sriov.Request) { pfs[0].VFs = nil }, sriov.ErrNoVF, "has none; nicferry-agent sriov enable makes them"},
		"a bond over one PF":    {[]string{"ens1f0", "0000:03:00.0"}, nil, sriov.ErrOnePF, "both sides are ens1f0 (0000:03:00.0)"},
		"a bond without a pair": {[]string{"ens1f0#0", "ens1f1#1"}, nil, sriov.ErrNoVF, "ens1f0 (0000:03:00.0) has 1: 0 given out, 0 used by others, 1 whose counterpart is not free"},
		"no side":               {nil, nil, nil, "for 0 sides"},
		"three sides":           {[]string{"a", "b", "c"}, nil, nil, "for 3 sides"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pfs, r := cards(2, 4), ask(t, c.sides...)
			if c.change != nil {
				c.change(pfs, &r)
			}
			vfs, err := sriov.Pick(pfs, r)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("picked %s, %v; want %q", got(pfs, vfs), err, c.want)
			}
		})
	}
	if _, err := sriov.Pick(nil, ask(t, "ens1f0")); err == nil || !strings.Contains(err.Error(), "this node has none with SR-IOV") {
		t.Errorf("on a node without PFs: %v", err)
	}
}

// F40, S0-7: whatever is taken and given back in whatever order, no VF is given
// twice, a bond is over two PFs and one number, and it is refused only when there
// is none.
func TestF40_NoVFIsGivenTwice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		pfs, r := cards(2+random.IntN(2), 1+random.IntN(7)), ask(t, "ens1f*")
		if seed%2 == 1 {
			r = ask(t, "ens1f0", "ens1f1 ens1f2")
		}
		r.NUMA = random.IntN(3) - 1
		for i := range pfs {
			pfs[i].NUMA = random.IntN(3) - 1
			pfs[i].Link.Carrier = random.IntN(4) > 0
		}
		var held [][]sriov.VF
		for step := range 60 {
			r.Since = noon.Add(time.Duration(step-5) * time.Second)
			if len(held) > 0 && random.IntN(3) == 0 {
				at := random.IntN(len(held))
				for _, vf := range held[at] {
					delete(r.Taken, vf.Address)
					r.Released[vf.Address] = noon.Add(time.Duration(step) * time.Second)
				}
				held = slices.Delete(held, at, at+1)
				continue
			}
			vfs, err := sriov.Pick(pfs, r)
			if err != nil {
				if !errors.Is(err, sriov.ErrNoVF) || pairs(pfs, r) > 0 {
					t.Fatalf("seed %d, step %d: %v, with %d left", seed, step, err, pairs(pfs, r))
				}
				continue
			}
			if len(vfs) != len(r.Sides) || len(vfs) == 2 && (vfs[0].PF == vfs[1].PF || vfs[0].Index != vfs[1].Index) {
				t.Fatalf("seed %d, step %d: picked %s", seed, step, got(pfs, vfs))
			}
			for _, vf := range vfs {
				if r.Taken[vf.Address] {
					t.Fatalf("seed %d, step %d: %s is given twice", seed, step, vf.Label())
				}
				r.Taken[vf.Address] = true
			}
			held = append(held, vfs)
		}
	}
}

// pairs counts what could be picked.
func pairs(pfs []sriov.PF, r sriov.Request) int {
	free := func(pf sriov.PF, index int) bool { return !r.Taken[pf.VFs[index].Address] }
	n := 0
	for a, pf := range pfs {
		for v := range pf.VFs {
			switch {
			case !free(pf, v):
			case len(r.Sides) == 1:
				n++
			case a > 0 && free(pfs[0], v):
				n++
			}
		}
	}
	return n
}

// The same question has the same answer, in whatever order the cards are told.
func TestPickIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	pfs, r := cards(3, 4), ask(t, "ens1f*")
	want, err := sriov.Pick(pfs, r)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(pfs)
	if again, err := sriov.Pick(pfs, r); err != nil || again[0].Address != want[0].Address {
		t.Errorf("picked %v and then %v, %v", want, again, err)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		use  sriov.Use
		busy bool
		want string
	}{
		{sriov.Use{How: sriov.Free}, false, "free"},
		{sriov.Use{How: sriov.Bare}, false, "without a driver"},
		{sriov.Use{How: sriov.Up}, true, "switched on"},
		{sriov.Use{How: sriov.Joined, By: "bond0"}, true, "in use by bond0"},
		{sriov.Use{How: sriov.Elsewhere}, true, "in use in another network namespace"},
		{sriov.Use{How: sriov.UserSpace}, true, "in use"},
	} {
		if c.use.Busy() != c.busy || c.use.String() != c.want {
			t.Errorf("%+v is %q, busy: %v", c.use, c.use, c.use.Busy())
		}
	}
}
