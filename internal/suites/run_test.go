package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A suite is compiled before its tests run, its programs are not linked anew for
// nothing, and what a suite with the race detector runs does not sleep at its end. What
// does not compile has failed.
func TestRun(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/m\n\ngo 1.24\n")
	write("good/good_test.go", `package good

import (
	"os"
	"testing"
)

func TestGood(t *testing.T) {
	if got := os.Getenv("GORACE"); got != "atexit_sleep_ms=0" {
		t.Errorf("GORACE is %q", got)
	}
}
`)
	t.Setenv("GORACE", "")
	var out bytes.Buffer
	s := suite{Name: "s", Packages: []string{"./..."}, Budget: time.Minute, Race: true}
	run := func() outcome { return runner{Root: root, Out: &out}.run(t.Context(), s) }
	program := filepath.Join(root, "build", "tests", "s", "good.test")
	var before os.FileInfo
	for range 2 {
		o := run()
		if c := countLeaves(o.Results); len(o.Faults) > 0 || c.Passed != 1 || c.Failed != 0 || o.Compiled <= 0 || o.Took <= 0 {
			t.Fatalf("came out as %+v\n%s", o, out.String())
		}
		info, err := os.Stat(program)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !os.SameFile(info, before) {
			t.Error("the program was linked anew")
		}
		before = info
	}
	write("other/good/good_test.go", "package good\n\nimport \"testing\"\n\nfunc TestOther(t *testing.T) {}\n")
	if o := run(); countLeaves(o.Results).Passed != 2 || len(o.Faults) > 0 { // two of the same name
		t.Errorf("came out as %+v\n%s", o, out.String())
	}
	write("bad/bad_test.go", "package bad\n\nfunc TestBad(t *testing.T) {}\n")
	if o := run(); countLeaves(o.Results).Failed == 0 && len(o.Faults) == 0 {
		t.Errorf("what does not compile came out as %+v\n%s", o, out.String())
	}
}

// What somebody has set for the race detector holds, before what is set here.
func TestRaceEnv(t *testing.T) {
	t.Setenv("GORACE", "halt_on_error=1")
	if got, want := raceEnv(), "GORACE=atexit_sleep_ms=0 halt_on_error=1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
