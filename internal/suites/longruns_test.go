package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLongRunsKeepTheRowsOfOtherSuites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docs", "test-long.md")
	run := func(name string, took time.Duration, ends ...string) outcome {
		o := outcomeOf(0, ends...)
		o.Suite.Name, o.Took = name, took
		return o
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for _, done := range [][]outcome{
		{run("agent", time.Minute, passed), run("build", time.Second, passed)},
		{run("agent", 90*time.Second, passed, failed, skipped)},
	} {
		if err := saveLongRuns(path, done, at, "abc", "2 CPUs"); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := longRunsHead +
		"| build | 1 | 0 | 0 | 1 | 2026-01-02 02:04 | abc | 2 CPUs |\n" +
		"| agent | 1 | 1 | 1 | 90 | 2026-01-02 02:04 | abc | 2 CPUs |\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMachine(t *testing.T) {
	if got := machine(); !regexp.MustCompile(`^\d+ CPUs, \d+ GiB, Linux [0-9.]+, \w+$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
	if got := commitOf(t.Context(), t.TempDir()); strings.ContainsAny(got, " \n") || got == "" {
		t.Errorf("commit %q, want one word", got)
	}
}
