package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// In CI, where nobody can look at once, what fails is run again by itself: a test
// that then passes each time is flaky. It is told with the output of its failure, and
// is a fault to be looked for; only so many may be in one suite, and in a whole run, as more
// are no accident. A run is more than 8,000 tests, on a machine whose host may take most of
// its processors away for minutes.
const (
	againTimes = 2
	maxFlaky   = 2 // of a suite
	mostFlaky  = 5 // of a run
)

// again runs by itself each test that has failed, and returns those that passed each
// time. It runs none if the run cannot be trusted without them.
func (r runner) again(ctx context.Context, s suite, packages []string, t *tally) []testKey {
	suspects := t.suspects()
	if len(suspects) > maxFlaky {
		return nil
	}
	var flaky []testKey
	for _, key := range suspects {
		fmt.Fprintf(r.Out, "   again, by itself, %d times: %s\n", againTimes, key.Test)
		if r.passes(ctx, s, packages, key) {
			flaky = append(flaky, key)
		}
	}
	return flaky
}

// passes tells whether the test passes each time it is run by itself.
func (r runner) passes(ctx context.Context, s suite, packages []string, key testKey) bool {
	only := []string{fmt.Sprintf("-count=%d", againTimes), "-run=^" + regexp.QuoteMeta(key.Test) + "$"} // the last of a flag holds
	cmd := r.command(ctx, slices.Concat(r.goTest(s), only, buildFlags(s, packages), []string{key.Package}))
	if s.Race {
		cmd.Env = append(cmd.Env, raceEnv())
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	exit := cmd.Run()
	var t tally
	if err := r.read(&out, s, &t); err != nil || exit != nil {
		return false
	}
	state := t.tests[key]
	return state != nil && state.result == passed
}

// suspects are the top tests that failed. There are none if that can be no accident,
// as a data race is none, or is not all: tests may not have run where there was a
// panic, and a package may have failed outside its tests.
func (t *tally) suspects() []testKey {
	var keys []testKey
	sick := map[string]bool{}
	for _, key := range t.keys() {
		switch state := t.tests[key]; {
		case key.Test == "" || state.result == passed || state.result == skipped:
		case t.grave[key.Package] || state.result == "":
			return nil
		default:
			sick[key.Package] = true
			if !strings.Contains(key.Test, "/") {
				keys = append(keys, key)
			}
		}
	}
	for pkg, end := range t.packages {
		if end == failed && !sick[pkg] {
			return nil
		}
	}
	return keys
}

// forgive has the results say that the tests passed, and are flaky.
func forgive(results []result, flaky []testKey) {
	for i := range results {
		r := &results[i]
		if top, _, _ := strings.Cut(r.Test, "/"); r.Result == failed && slices.Contains(flaky, testKey{r.Package, top}) {
			r.Result, r.Flaky = passed, true
		}
	}
}
