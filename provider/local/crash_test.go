package local_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/providertest"
)

// scripts are what a controller does with one NIC, and the state after each
// verb.
var scripts = []struct{ verb, state string }{
	{"attach alpha", "attached alpha"},
	{"detach alpha", "detaching alpha"},
	{"clean", "available"},
	{"get", "available"},
	{"unclean", "available"},
	{"attach beta", "attached beta"},
	{"detach beta", "detaching beta"},
	{"clean", "available"},
	{"delete", "gone"},
}

// TestF02_CrashAtEveryLedgerCall crashes the controller once, before or after
// the effect of its nth ledger call, for every n, and goes on with a new one.
func TestF02_CrashAtEveryLedgerCall(t *testing.T) {
	providertest.CrashAtEveryCall(t, 20, crashAndGoOn)
}

func crashAndGoOn(t *testing.T, crash *providertest.Crash) {
	t.Helper()
	w := newWorld()
	crash.Plan(w.ledger)
	id := nic.NewID()
	spec := vethSpec(id)
	p := w.controller()
	again := func(call func() error) error {
		return crash.Survive(func() { p = w.controller() }, call)
	}
	if err := again(func() error { _, err := p.Create(t.Context(), spec); return err }); err != nil {
		t.Fatalf("%s: create: %v", crash, err)
	}
	for _, s := range scripts {
		err := again(func() error { return do(t, p, w, id, s.verb) })
		if err != nil && !(s.verb == "delete" && errors.Is(err, provider.ErrNotFound)) {
			t.Fatalf("%s: %s: %v", crash, s.verb, err)
		}
		var got string
		err = again(func() error {
			all, err := p.Get(t.Context(), id)
			got = stateIn(all, id)
			return err
		})
		if err != nil || got != s.state {
			t.Fatalf("%s: after %s the state is %q, %v; want %q", crash, s.verb, got, err, s.state)
		}
	}
	// Callers repeat Delete until ErrNotFound.
	for range 3 {
		if err := p.Delete(t.Context(), id); errors.Is(err, provider.ErrNotFound) {
			break
		}
	}
	w.ledger.Forget()
	w.ledger.WantEmpty(t, crash.String())
}

// TestF15_TwoControllers lets one controller's whole verb happen at every
// point within another's. The outcome must be that of one order of the two.
func TestF15_TwoControllers(t *testing.T) {
	for _, c := range []struct {
		begin        []string // what has happened before
		outer, inner []string
		also         string // an outcome that no order has, and is right
	}{
		{nil, []string{"attach alpha"}, []string{"attach beta"}, ""},
		{nil, []string{"attach alpha"}, []string{"attach alpha"}, ""},
		{nil, []string{"attach alpha"}, []string{"delete"}, ""},
		{nil, []string{"delete"}, []string{"attach alpha"}, ""},
		{nil, []string{"delete"}, []string{"delete"}, "delete: ok; | delete: ok; | gone"},
		{nil, []string{"attach alpha"}, []string{"attach beta", "detach beta", "clean", "get", "unclean"}, ""},
		{[]string{"attach alpha"}, []string{"detach alpha"}, []string{"detach alpha", "clean", "get", "unclean", "attach beta"}, ""},
		{[]string{"attach alpha"}, []string{"detach alpha"}, []string{"detach alpha", "clean", "get", "unclean", "attach alpha"}, ""},
		{[]string{"attach alpha", "detach alpha", "clean"}, []string{"get"}, []string{"attach beta"}, ""},
		{[]string{"attach alpha", "detach alpha", "clean"}, []string{"get"}, []string{"delete"}, ""},
		{[]string{"attach alpha", "detach alpha", "clean"}, []string{"get"}, []string{"get", "unclean", "attach alpha", "detach alpha"}, ""},
		{[]string{"attach alpha", "detach alpha", "clean"}, []string{"delete"}, []string{"get", "unclean", "attach alpha"}, ""},
		{[]string{"attach alpha", "detach alpha", "clean", "get", "unclean"}, []string{"attach alpha"}, []string{"attach beta", "detach beta", "clean", "get", "unclean"}, ""},
	} {
		t.Run(fmt.Sprintf("%v/%v_within_%v", c.begin, c.inner, c.outer), func(t *testing.T) {
			t.Parallel()
			allowed := map[string]bool{
				order(t, c.begin, c.outer, c.inner, false): true,
				order(t, c.begin, c.outer, c.inner, true):  true,
				c.also: true,
			}
			n := 1
			for {
				got, reached := interleave(t, c.begin, c.outer, c.inner, n)
				if !reached {
					break
				}
				if !allowed[got] {
					t.Errorf("at call %d: %s\nallowed: %q", n, got, slices.Sorted(maps.Keys(allowed)))
				}
				n++
			}
			if n < 3 {
				t.Errorf("only %d points of interleaving", n)
			}
		})
	}
}

// A pair is two controllers on one world with one NIC.
type pair struct {
	world
	id           nic.ID
	outer, inner func() string // run the verbs and tell their outcomes
}

func newPair(t *testing.T, begin, outer, inner []string) pair {
	w := newWorld()
	a, b := w.controller(), w.controller()
	id := nic.NewID()
	if _, err := a.Create(t.Context(), vethSpec(id)); err != nil {
		t.Fatal(err)
	}
	run(t, a, w, id, begin...)
	return pair{
		w, id,
		func() (told string) {
			for _, verb := range outer {
				told += verb + ": " + kindOf(do(t, a, w, id, verb)) + "; "
			}
			return told
		},
		func() (told string) {
			for _, verb := range inner {
				told += verb + ": " + kindOf(do(t, b, w, id, verb)) + "; "
			}
			return told
		},
	}
}

// order is the outcome of one after the other.
func order(t *testing.T, begin, outer, inner []string, innerFirst bool) string {
	p := newPair(t, begin, outer, inner)
	var o, i string
	if innerFirst {
		i, o = p.inner(), p.outer()
	} else {
		o, i = p.outer(), p.inner()
	}
	return o + "| " + i + "| " + p.end(t)
}

// interleave is the outcome of inner at outer's nth ledger call; reached says
// whether there is one.
func interleave(t *testing.T, begin, outer, inner []string, n int) (told string, reached bool) {
	p := newPair(t, begin, outer, inner)
	var o, i string
	p.ledger.Before(n, func() error {
		reached = true
		i = p.inner()
		return nil
	})
	o = p.outer()
	p.ledger.Forget()
	return o + "| " + i + "| " + p.end(t), reached
}

// end is the state at last, after which the NIC must still be removable
// without a trace.
func (p pair) end(t *testing.T) string {
	c := p.controller()
	state := stateOf(t, c, p.id)
	for range 5 {
		err := c.Delete(t.Context(), p.id)
		if errors.Is(err, provider.ErrNotFound) {
			break
		}
		if errors.Is(err, provider.ErrBusy) {
			got, err := c.Get(t.Context(), p.id)
			if err == nil {
				err = c.Detach(t.Context(), p.id, got[p.id].Place.Instance)
			}
			if err != nil {
				t.Fatal(err)
			}
			run(t, c, p.world, p.id, "clean")
		}
	}
	p.ledger.WantEmpty(t, "deleted")
	return state
}

func kindOf(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Kind.Error()
	}
	return err.Error()
}
