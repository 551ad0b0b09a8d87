//go:build linux

package cloudbench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/cloudsim"
)

// write makes a file of figures with each promise kept, or each broken.
func write(t *testing.T, path string, good bool) {
	t.Helper()
	pick := func(kept, broken int64) int64 {
		if good {
			return kept
		}
		return broken
	}
	_, err := figures.Measure(path, "abc", func(f *figures.File) error {
		for round := range 10 {
			f.Add(callsCold, whatMutating, round, pick(3, 5), unitCalls, nil)
			f.Add(callsCold, whatReads, round, 12, unitCalls, nil)
			f.Add(callsWarm, whatMutating, round, 0, unitCalls, nil)
			f.Add(callsWarm, whatReads, round, pick(0, 1), unitCalls, nil)
			f.Add(waitCold, ours, round, pick(6_000_000, 9_000_000), "us", nil)
			f.Add(waitCold, vpcCNI, round, 8_000_000, "us", nil)
			f.Add(waitCold, terway, round, 8_000_000, "us", nil)
			f.Add(waitWarm, ours, round, 20_000, "us", nil)
		}
		f.Add(callsBurst, "all", 0, 1000, unitCalls, nil)
		f.Add(callsBurst, "throttled", 0, pick(10, 11), unitCalls, nil)
		f.Add(crowdMeasure, "claims per second", 0, pick(200, 199), "claims/s", nil)
		f.Add(crowdMeasure, whatReads, 0, pick(100, crowdClaims), unitCalls, nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Each promise is found kept where it is kept, and broken where it is not, and the
// report says where the rivals' constants are from.
func TestReport(t *testing.T) {
	t.Parallel()
	for _, good := range []bool{true, false} {
		dir := t.TempDir()
		from, doc := filepath.Join(dir, figuresName), filepath.Join(dir, "doc.md")
		write(t, from, good)
		if err := Tell(from, figures.Machine{CPUs: 2}, dir, doc); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		yes, no := strings.Count(string(text), " | yes |"), strings.Count(string(text), " | no |")
		if want := 7; good && (yes != want || no != 0) || !good && (yes != 0 || no != want) {
			t.Errorf("good %v: %d promises are kept and %d broken, of %d:\n%s", good, yes, no, want, text)
		}
		for _, want := range []string{"commit abc", "| p50 | most |", "WARM_ENI_TARGET", "WaitENIStatus", "p50 20.0 ms"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("good %v: the report lacks %q", good, want)
			}
		}
	}
}

// Only the caller's calls count, and what happened by itself is none.
func TestCount(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	log := []cloudsim.Entry{
		{API: "CreateNetworkInterface", Caller: "a", Resource: "eni-1", Time: at(1)},
		{API: "CreateNetworkInterface", Caller: "a", Code: throttledCode, Time: at(1)},
		{API: "CreateNetworkInterface", Caller: "b", Resource: "eni-2", Time: at(1)},
		{Event: "created", Resource: "eni-1", Time: at(2)},
		{API: "DescribeNetworkInterfaces", Caller: "a", Time: at(3)},
		{API: "AttachNetworkInterface", Caller: "a", Resource: "eni-1", Code: "InvalidParameterValue", Time: at(4)},
		{API: "AttachNetworkInterface", Caller: "a", Resource: "eni-1", Time: at(5)},
		{Event: "attached", Resource: "eni-1", Time: at(12)},
	}
	got := count(log, "a")
	if got.mutating != 4 || got.describes != 1 || got.throttled != 1 || got.calls() != 5 {
		t.Errorf("counted %+v", got)
	}
	if d, ok := spent(log, "eni-1"); d != 8*time.Second || !ok {
		t.Errorf("the cloud took %s, %v; want 1 s and 7 s", d, ok)
	}
	if _, ok := spent(log, "eni-2"); ok {
		t.Error("of what was never attached there is a time")
	}
}

func TestCPU(t *testing.T) {
	t.Parallel()
	got, err := cpuOf("12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20")
	if err != nil || got != 2*time.Second {
		t.Errorf("got %s, %v; want 2 s", got, err)
	}
	for _, bad := range []string{"", "12 (a) S 1", "12 (a) S 1 2 3 4 5 6 7 8 9 10 x y"} {
		if _, err := cpuOf(bad); err == nil {
			t.Errorf("%q has a time", bad)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"no directory":       {Bin: "x"},
		"no folder with":     {Settings: figures.Settings{Out: "x"}},
		`no part "nonesuch"`: {Bin: "x", Settings: figures.Settings{Out: "x", Only: []string{"nonesuch"}}},
		"more than none":     {Bin: "x", Settings: figures.Settings{Out: "x", Rounds: -1}},
	} {
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
