package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// printEnd prints a failed test with its output, a skipped one with its reason,
// and one line for each package.
func printEnd(out io.Writer, e ended) {
	name := e.Package
	if cut := strings.Index(name, "nicferry/nicferry/"); cut >= 0 {
		name = name[cut+len("nicferry/nicferry/"):]
	}
	switch {
	case e.Test == "":
		fmt.Fprintf(out, "   %-4s %-40s %6.1f s\n", e.Result, name, e.Seconds)
	case e.Result == passed:
		return
	default:
		fmt.Fprintf(out, "   %s %s %s (%.1f s)\n", strings.ToUpper(e.Result), name, e.Test, e.Seconds)
	}
	if e.Result == passed || (e.Test == "" && e.Result == skipped) {
		return
	}
	for _, line := range e.Output {
		if !noise(line) {
			fmt.Fprintf(out, "      | %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

// noise tells if a line only repeats what the report says.
func noise(line string) bool {
	line = strings.TrimSpace(line)
	for _, start := range []string{"=== ", "--- ", "FAIL\t", "exit status ", "PASS", "ok  ", "coverage:"} {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return line == "" || line == "FAIL"
}

// judge returns all that is not well, one line each.
func judge(done []outcome, ci bool) []string {
	var faults []string
	flaky := 0
	for _, o := range done {
		flaky += len(o.Flaky)
		fault := func(format string, args ...any) {
			faults = append(faults, o.Suite.Name+": "+fmt.Sprintf(format, args...))
		}
		for _, f := range o.Faults {
			fault("%s", f)
		}
		c := countLeaves(o.Results)
		if c.Failed > 0 && len(o.Faults) == 0 {
			fault("%d failed", c.Failed)
		}
		if c.ran() == 0 && len(o.Faults) == 0 {
			fault("no test ran")
		}
		if ci && c.Skipped > 0 {
			fault("%d skipped, and in CI none may be", c.Skipped)
		}
		if ci && c.ran() < o.Suite.Minimum {
			fault("%d tests ran, and in CI at least %d must", c.ran(), o.Suite.Minimum)
		}
	}
	if flaky > mostFlaky {
		faults = append(faults, fmt.Sprintf("%d tests are flaky: more than %d are no accident", flaky, mostFlaky))
	}
	return faults
}

// report prints a line for each suite, what failed, all that is not well and
// last, alone on its line, the count.
func report(out io.Writer, done []outcome, faults []string) {
	fmt.Fprintf(out, "\n%-10s %10s %10s %10s %8s %8s %8s\n", "suite", "compiled", "took", "budget", "passed", "failed", "skipped")
	seconds := func(d time.Duration) float64 { return d.Round(100 * time.Millisecond).Seconds() }
	var sum count
	for _, o := range done {
		c := countLeaves(o.Results)
		sum = count{sum.Passed + c.Passed, sum.Failed + c.Failed, sum.Skipped + c.Skipped}
		over := ""
		if o.Took > o.Suite.Budget {
			over = "  over its budget"
		}
		fmt.Fprintf(out, "%-10s %9.1fs %9.1fs %9.0fs %8d %8d %8d%s\n", o.Suite.Name,
			seconds(o.Compiled), seconds(o.Took), o.Suite.Budget.Seconds(), c.Passed, c.Failed, c.Skipped, over)
	}
	for _, o := range done {
		for _, r := range o.Results {
			if r.Result == failed && r.Package != "" {
				fmt.Fprintf(out, "failed: %s %s\n", r.Package, r.Test)
			}
		}
	}
	for _, o := range done {
		for _, key := range o.Flaky {
			fmt.Fprintf(out, "flaky: %s %s: it failed, as told above, and passed %d times by itself; find out why\n", key.Package, key.Test, againTimes)
		}
	}
	for _, f := range faults {
		fmt.Fprintf(out, "not well: %s\n", f)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", sum.Passed, sum.Failed, sum.Skipped)
}
