package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func outcomeOf(minimum int, ends ...string) outcome {
	o := outcome{Suite: suite{Name: "s", Budget: time.Minute, Minimum: minimum}, Took: time.Second}
	for i, end := range ends {
		o.Results = append(o.Results, result{Suite: "s", Package: "p", Test: fmt.Sprintf("Test%d", i), Result: end})
	}
	return o
}

func TestJudge(t *testing.T) {
	broken := outcomeOf(0, failed)
	broken.Faults = []string{"make build: exit status 2"}
	tests := []struct {
		name      string
		done      outcome
		local, ci []string
	}{
		{"all passed", outcomeOf(2, passed, passed), nil, nil},
		{"a failure", outcomeOf(1, passed, failed), []string{"s: 1 failed"}, []string{"s: 1 failed"}},
		{"a skip", outcomeOf(1, passed, skipped), nil, []string{"s: 1 skipped, and in CI none may be"}},
		{"too few", outcomeOf(3, passed, passed), nil, []string{"s: 2 tests ran, and in CI at least 3 must"}},
		{"none", outcomeOf(0), []string{"s: no test ran"}, []string{"s: no test ran"}},
		{
			"only skips", outcomeOf(0, skipped),
			[]string{"s: no test ran"},
			[]string{"s: no test ran", "s: 1 skipped, and in CI none may be"},
		},
		{"could not start", broken, []string{"s: make build: exit status 2"}, []string{"s: make build: exit status 2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.local, judge([]outcome{tt.done}, false)); diff != "" {
				t.Errorf("here (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.ci, judge([]outcome{tt.done}, true)); diff != "" {
				t.Errorf("in CI (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReportEndsWithTheCount(t *testing.T) {
	var out bytes.Buffer
	slow := outcomeOf(0, passed)
	slow.Took = 2 * time.Minute
	report(&out, []outcome{outcomeOf(0, passed, failed, skipped), slow}, []string{"s: 1 failed"})
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if last := lines[len(lines)-1]; last != "2 passed, 1 failed, 1 skipped" {
		t.Errorf("last line: %q", last)
	}
	for _, want := range []string{"over its budget", "failed: p Test1", "not well: s: 1 failed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		names []string
		long  bool
		want  string
		err   string
	}{
		{nil, false, "build base agent", ""},
		{nil, true, "build base agent vm", ""},
		{[]string{"agent", "build"}, false, "build agent", ""},
		{[]string{"vm"}, false, "vm", ""},
		{[]string{"agnet"}, false, "", `no suite "agnet"; there are build, base, agent, vm`},
	}
	for _, tt := range tests {
		all := []suite{{Name: "build"}, {Name: "base"}, {Name: "agent"}, {Name: "vm", OnRequest: true}}
		chosen, err := choose(all, tt.names, tt.long)
		var names []string
		for _, s := range chosen {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%v, long %t: got %q, want %q", tt.names, tt.long, got, tt.want)
		}
		if (err == nil) != (tt.err == "") || (err != nil && err.Error() != tt.err) {
			t.Errorf("%v: got error %v, want %q", tt.names, err, tt.err)
		}
	}
}

func TestEverySuiteInTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range table() {
		if s.Name == "" || s.About == "" || len(s.Packages) == 0 || s.Budget <= 0 || s.Minimum < 1 || seen[s.Name] {
			t.Errorf("%+v: a field is empty, or the name is there twice", s)
		}
		seen[s.Name] = true
	}
}
