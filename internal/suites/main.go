// Command suites runs the project's tests by suite, with a budget of time and a
// minimum of tests for each, and holds the README and the list of failure modes
// against what the tests showed.
//
// A test is counted once, as a leaf: a test with subtests is not counted beside
// them, unless it failed while they all passed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const usage = `usage: go run ./internal/suites COMMAND

  test [-long] [SUITE...]   run suites, or all
  list                      list the suites
  status                    hold the README's status table against the results
  failure-modes             list the failure modes with their tests and results
`

// resultsFile has the results of the last run of each suite, for status and
// failure-modes.
const resultsFile = "build/test-results.jsonl"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := moduleRoot()
	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(2)
	}
	os.Exit(run(ctx, root, os.Args[1:], os.Stdout))
}

// run returns the exit code: 0 all is well, 1 it is not, 2 usage.
func run(ctx context.Context, root string, args []string, out io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(out, usage)
		return 2
	}
	switch args[0] {
	case "test":
		return runTest(ctx, root, args[1:], out)
	case "list":
		for _, s := range table() {
			fmt.Fprintf(out, "%-8s %s\n", s.Name, s.About)
		}
		return 0
	case "status":
		return runStatus(root, out)
	case "failure-modes":
		return runFailureModes(root, out)
	}
	fmt.Fprintf(out, "suites: no command %q\n%s", args[0], usage)
	return 2
}

func runTest(ctx context.Context, root string, args []string, out io.Writer) int {
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(out)
	long := flags.Bool("long", false, "in random order, with the long tests")
	times := flags.Int("times", 3, "how often each test runs with -long")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen, err := choose(table(), flags.Args(), *long)
	if err != nil {
		fmt.Fprintln(out, "suites:", err)
		return 2
	}
	ci := os.Getenv("CI") == "true"
	r := runner{Root: root, Out: out, Long: *long, Times: *times, Again: ci && !*long}
	start, commit := time.Now(), commitOf(ctx, root)
	var done []outcome
	for _, s := range chosen {
		done = append(done, r.run(ctx, s))
	}
	faults := judge(done, ci)
	if err := saveResults(filepath.Join(root, resultsFile), done); err != nil {
		faults = append(faults, err.Error())
	}
	if *long && ctx.Err() == nil {
		if err := saveLongRuns(filepath.Join(root, longRunsFile), done, start, commit, fmt.Sprintf("%s; each test %d times", machine(), *times)); err != nil {
			faults = append(faults, err.Error())
		}
	}
	report(out, done, faults)
	if len(faults) > 0 {
		return 1
	}
	return 0
}

// moduleRoot finds the folder of go.mod at or above the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod at or above the working directory")
		}
		dir = up
	}
}
