package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

// A runner runs suites one after the other.
type runner struct {
	Root string    // required: the module's folder
	Out  io.Writer // required
	Long bool      // shuffled, with NICFERRY_LONG=1
	// Times is how often each test runs in a long run. Required with Long.
	Times int
	Again bool // what failed is run again by itself; see again.go
}

// An outcome is what came of one suite.
type outcome struct {
	Suite    suite
	Results  []result
	Flaky    []testKey     // failed, and passed when run again by themselves
	Compiled time.Duration // how long that took
	Took     time.Duration // once all was compiled
	Faults   []string      // why it is not well, beside its tests
}

func (r runner) run(ctx context.Context, s suite) outcome {
	start := time.Now()
	o := outcome{Suite: s}
	fmt.Fprintf(r.Out, "== %s: %s\n", s.Name, s.About)
	// Work that could not be done counts as one that failed.
	refuse := func(format string, args ...any) outcome {
		o.Faults = append(o.Faults, strings.TrimSpace(fmt.Sprintf(format, args...)))
		o.Results = append(o.Results, result{Suite: s.Name, Result: failed})
		o.Took = time.Since(start)
		return o
	}
	packages, err := r.packages(ctx, s)
	if err != nil {
		return refuse("%v", err)
	}
	if len(packages) == 0 {
		return refuse("no package matches %s", strings.Join(s.Packages, " "))
	}
	r.compile(ctx, s, packages)
	o.Compiled, start = time.Since(start), time.Now()
	cmd := r.command(ctx, slices.Concat(r.goTest(s), buildFlags(s, packages), packages))
	if s.Race {
		cmd.Env = append(cmd.Env, raceEnv())
	}
	var stray bytes.Buffer
	cmd.Stderr = &stray
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return refuse("run go test: %v", err)
	}
	if err := cmd.Start(); err != nil {
		return refuse("run go test: %v", err)
	}
	var t tally
	readErr := r.read(stdout, s, &t)
	exit := cmd.Wait()
	if exit != nil && readErr == nil && r.Again {
		o.Flaky = r.again(ctx, s, packages, &t)
	}
	o.Results = t.results(s.Name)
	if readErr != nil {
		return refuse("read go test's output: %v", readErr)
	}
	if exit != nil && countLeaves(o.Results).Failed == 0 {
		return refuse("go test: %v\n%s", exit, stray.String())
	}
	forgive(o.Results, o.Flaky)
	o.Took = time.Since(start)
	return o
}

// tags have the tests see what is built with libvirt. The build suite looks at
// what is built without.
const tags = "libvirt,libvirt_dlopen"

// compile compiles, and where it can links, all that the suite's tests are of, so that
// no compiler runs beside them and how long they take is theirs. What does not compile
// go test finds anew, and tells.
func (r runner) compile(ctx context.Context, s suite, packages []string) {
	args := []string{"go", "test", "-c", "-vet=off"}
	if !distinct(packages) {
		args = []string{"go", "list", "-e", "-test", "-export"}
	}
	_ = r.command(ctx, slices.Concat(args, buildFlags(s, packages), packages)).Run()
}

// buildFlags say how the tests of the packages are built. Their programs stay in
// build/tests, so that they are not linked anew unless they have changed.
func buildFlags(s suite, packages []string) []string {
	flags := []string{"-tags=" + tags}
	if s.Race {
		flags = append(flags, "-race")
	}
	if distinct(packages) {
		// Without what debuggers read, as where the programs do not stay.
		flags = append(flags, "-ldflags=-w", "-o=build/tests/"+s.Name+"/")
	}
	return flags
}

// distinct tells whether no two packages have the same last name, which their
// programs are called by.
func distinct(packages []string) bool {
	seen := map[string]bool{}
	for _, p := range packages {
		seen[path.Base(p)] = true
	}
	return len(seen) == len(packages)
}

// raceEnv spares each process a second of sleep at its end, in which goroutines that
// are left might race: there are none, or the test has failed.
func raceEnv() string {
	return "GORACE=" + strings.TrimSpace("atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}

// goTest is the command line up to how the tests are built.
func (r runner) goTest(s suite) []string {
	// A package that hangs is ended. One that is only slow, beside others, is not.
	limit, runs, shuffle := max(3*s.Budget, 10*time.Minute), 1, "off"
	if r.Long {
		limit, runs, shuffle = 30*s.Budget, r.Times, "on"
	}
	// The vet suite looks at all code with all of vet's checks.
	args := []string{
		"go", "test", "-json", "-vet=off", fmt.Sprintf("-count=%d", runs),
		"-shuffle=" + shuffle, "-timeout=" + limit.String(),
	}
	if s.AtOnce > 0 {
		args = append(args, fmt.Sprintf("-p=%d", s.AtOnce))
	}
	if s.Parallel > 0 {
		args = append(args, fmt.Sprintf("-parallel=%d", s.Parallel))
	}
	if len(s.Only) > 0 {
		args = append(args, "-run="+anyOf(s.Only))
	}
	skip := s.Not
	if !r.Long {
		skip = slices.Concat(skip, s.LongOnly)
	}
	if len(skip) > 0 {
		args = append(args, "-skip="+anyOf(skip))
	}
	return args
}

// anyOf is the pattern of the tests with the names.
func anyOf(names []string) string { return "^(" + strings.Join(names, "|") + ")$" }

// packages lists the suite's packages that have tests or, as one that does not
// compile must not go unseen, are broken.
func (r runner) packages(ctx context.Context, s suite) ([]string, error) {
	format := `{{if or .TestGoFiles .XTestGoFiles .DepsErrors .Error}}{{.ImportPath}} {{.Module.Path}}{{end}}`
	cmd := r.command(ctx, append([]string{"go", "list", "-e", "-tags=" + tags, "-f", format}, s.Packages...))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w\n%s", err, stderr.String())
	}
	var packages []string
	for line := range strings.Lines(string(out)) {
		path, module, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && !within(strings.TrimPrefix(path, module+"/"), s.Except) {
			packages = append(packages, path)
		}
	}
	return packages, nil
}

func (r runner) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = r.Root
	cmd.Env = os.Environ()
	if r.Long {
		cmd.Env = append(cmd.Env, "NICFERRY_LONG=1")
	}
	// Interrupted, go test lets its tests clean up.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// countsKey is the attribute by which a test tells how much it has tried; see
// testing.T.Attr.
const countsKey = "counts"

// read takes go test's output to its end and prints what failed as it fails,
// and a line for each package.
func (r runner) read(in io.Reader, s suite, t *tally) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case json.Unmarshal(line, &e) != nil:
			fmt.Fprintf(r.Out, "   %s", line) // not an event: a word of the go command
		case e.Action == "attr" && e.Key == countsKey:
			fmt.Fprintf(r.Out, "   %s\n", e.Value)
		default:
			if end := t.add(e); end != nil {
				printEnd(r.Out, *end)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
