package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// once fails where it has not been before.
const once = `
func once(t *testing.T) {
	mark := path.Base(t.Name()) + ".mark"
	if _, err := os.Stat(mark); err != nil {
		os.WriteFile(mark, nil, 0o644)
		t.Error("the first time")
	}
}
`

func TestAgain(t *testing.T) {
	tests := []struct {
		name, tests   string
		flaky, failed int
	}{
		{"a part of it fails once", `func TestA(t *testing.T) { t.Run("part", once) }`, 1, 0},
		{"beside one that fails always", `func TestA(t *testing.T) { once(t) }; func TestB(t *testing.T) { t.Error("always") }`, 1, 1},
		{"too many", `func TestA(t *testing.T) { once(t) }; func TestB(t *testing.T) { once(t) }; func TestC(t *testing.T) { once(t) }`, 0, 3},
		{"a panic", `func TestA(t *testing.T) { once(t); if t.Failed() { panic("no") } }`, 0, 1},
		{"a race", `func TestA(t *testing.T) { fmt.Println("WARNING: DATA RACE"); once(t) }`, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			code := "package m\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"path\"\n\t\"testing\"\n)\n\nvar _ = fmt.Sprint\n\nfunc TestFine(t *testing.T) {}\n\n" + tt.tests + "\n" + once
			for name, text := range map[string]string{"go.mod": "module example.com/m\n\ngo 1.24\n", "m_test.go": code} {
				if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			o := runner{Root: root, Out: &out, Again: true}.run(t.Context(), suite{Name: "s", Packages: []string{"./..."}, Budget: time.Minute})
			if c := countLeaves(o.Results); len(o.Flaky) != tt.flaky || c.Failed != tt.failed {
				t.Errorf("%d are flaky and %d failed, want %d and %d: %+v\n%s", len(o.Flaky), c.Failed, tt.flaky, tt.failed, o, out.String())
			}
			if marked := slices.ContainsFunc(o.Results, func(r result) bool { return r.Flaky && r.Result == passed }); marked != (tt.flaky > 0) {
				t.Errorf("the results are %+v", o.Results)
			}
			out.Reset()
			faults := judge([]outcome{o}, true)
			report(&out, []outcome{o}, faults)
			if told := strings.Contains(out.String(), "flaky: example.com/m TestA: it failed"); told != (tt.flaky > 0) || (len(faults) == 0) != (tt.failed == 0) {
				t.Errorf("it is said:\n%s", out.String())
			}
		})
	}
}

// A few may be flaky in a whole run, not more.
func TestFlakyTestsAreNoAccident(t *testing.T) {
	var done []outcome
	for i := range mostFlaky + 1 {
		if faults := judge(done, true); len(faults) != 0 {
			t.Errorf("with %d: %q", i, faults)
		}
		o := outcomeOf(1, passed)
		o.Flaky = []testKey{{"p", fmt.Sprintf("Test%d", i)}}
		done = append(done, o)
	}
	if faults := judge(done, true); len(faults) != 1 || !strings.Contains(faults[0], "are flaky") {
		t.Errorf("with %d: %q", len(done), faults)
	}
}
