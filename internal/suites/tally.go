package main

import (
	"cmp"
	"slices"
	"strings"
)

// An event is one line of `go test -json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build, in place of Package
	Test       string
	Elapsed    float64 // seconds
	Output     string
	Key, Value string // of an attribute
}

// How a test, or a package, ended.
const (
	passed  = "pass"
	failed  = "fail"
	skipped = "skip"
)

// A result is how one test ended.
type result struct {
	Suite   string  `json:"suite"`
	Package string  `json:"package"`
	Test    string  `json:"test"` // "" for what failed in a package outside its tests
	Result  string  `json:"result"`
	Seconds float64 `json:"seconds"`
	Flaky   bool    `json:"flaky,omitempty"` // it failed first
}

// A tally takes the events of one run and knows how each test ended. The zero
// value is ready.
type tally struct {
	tests    map[testKey]*testState
	packages map[string]string // how they ended
	builds   map[string][]string
	grave    map[string]bool // packages in which there was a panic, or a data race
}

type testKey struct{ Package, Test string }

type testState struct {
	result  string // "" while it runs
	seconds float64
	output  []string
}

// An ended says that a test or, with no Test, a package ended, and what it printed.
type ended struct {
	testKey
	Result  string
	Seconds float64
	Output  []string
}

// add takes one event and returns what ended with it, if anything.
func (t *tally) add(e event) *ended {
	if t.tests == nil {
		t.tests, t.packages = map[testKey]*testState{}, map[string]string{}
		t.builds, t.grave = map[string][]string{}, map[string]bool{}
	}
	switch e.Action {
	case "build-output":
		t.builds[e.ImportPath] = append(t.builds[e.ImportPath], e.Output)
		return nil
	case "build-fail":
		return &ended{testKey: testKey{Package: e.ImportPath}, Result: failed, Output: t.builds[e.ImportPath]}
	}
	key := testKey{e.Package, e.Test}
	state := t.tests[key]
	if state == nil {
		state = &testState{}
		t.tests[key] = state
	}
	switch e.Action {
	case "output":
		state.output = append(state.output, e.Output)
		if grave(e.Output) {
			t.grave[e.Package] = true
		}
	case passed, failed, skipped:
		// With -count a test ends several times: the worst end is its result.
		state.result = worse(state.result, e.Action)
		state.seconds += e.Elapsed
		out := state.output
		state.output = nil
		if e.Test == "" {
			t.packages[e.Package] = e.Action
			out = append(out, t.unfinished(e.Package)...)
		}
		return &ended{testKey: key, Result: e.Action, Seconds: e.Elapsed, Output: out}
	}
	return nil
}

// grave tells whether a line is the first of what ends a program, or of a data race.
func grave(line string) bool {
	return slices.ContainsFunc([]string{"panic: ", "fatal error: ", "WARNING: DATA RACE"}, func(start string) bool {
		return strings.HasPrefix(line, start)
	})
}

// unfinished returns the output of the tests that a package left running, which
// tells where it panicked or hung.
func (t *tally) unfinished(pkg string) []string {
	var out []string
	for _, key := range t.keys() {
		if state := t.tests[key]; key.Package == pkg && key.Test != "" && state.result == "" {
			out = append(out, state.output...)
		}
	}
	return out
}

func (t *tally) keys() []testKey {
	var keys []testKey
	for key := range t.tests {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b testKey) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Test, b.Test))
	})
	return keys
}

// results returns how each test ended, parents too, sorted. A test that was
// running when its package ended has failed. A package that failed while none
// of its tests did gets a row of its own.
func (t *tally) results(suite string) []result {
	var all []result
	sick := map[string]bool{}
	for _, key := range t.keys() {
		if key.Test == "" {
			continue
		}
		state := t.tests[key]
		if state.result == "" {
			state.result = failed
		}
		sick[key.Package] = sick[key.Package] || state.result == failed
		all = append(all, result{Suite: suite, Package: key.Package, Test: key.Test, Result: state.result, Seconds: state.seconds})
	}
	for pkg, end := range t.packages {
		if end == failed && !sick[pkg] {
			all = append(all, result{Suite: suite, Package: pkg, Result: failed})
		}
	}
	slices.SortFunc(all, func(a, b result) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Test, b.Test))
	})
	return all
}

// A count is of leaf tests.
type count struct{ Passed, Failed, Skipped int }

func (c count) ran() int { return c.Passed + c.Failed }

// countLeaves counts each leaf once, and a parent only if it failed while no
// test below it did.
func countLeaves(results []result) count {
	parent, sick := map[testKey]bool{}, map[testKey]bool{}
	for _, r := range results {
		for name := r.Test; ; {
			cut := strings.LastIndexByte(name, '/')
			if cut < 0 {
				break
			}
			name = name[:cut]
			parent[testKey{r.Package, name}] = true
			if r.Result == failed {
				sick[testKey{r.Package, name}] = true
			}
		}
	}
	var c count
	for _, r := range results {
		key := testKey{r.Package, r.Test}
		switch {
		case r.Test != "" && parent[key] && (r.Result != failed || sick[key]):
		case r.Result == passed:
			c.Passed++
		case r.Result == failed:
			c.Failed++
		case r.Result == skipped:
			c.Skipped++
		}
	}
	return c
}

// worse returns the worse of two ends; "" is not yet one.
func worse(a, b string) string {
	order := []string{"", passed, skipped, failed}
	if slices.Index(order, a) > slices.Index(order, b) {
		return a
	}
	return b
}
