package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded reads a real run of five packages: good, bad, one that does not
// compile, one that panics and one whose TestMain fails.
func recorded(t *testing.T) (*tally, string) {
	t.Helper()
	file, err := os.Open("testdata/run.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var ta tally
	var out bytes.Buffer
	if err := (runner{Out: &out}).read(file, suite{}, &ta); err != nil {
		t.Fatal(err)
	}
	return &ta, out.String()
}

func TestTallyOfARecordedRun(t *testing.T) {
	ta, out := recorded(t)
	var got []string
	for _, r := range ta.results("base") {
		got = append(got, strings.Join([]string{r.Suite, r.Package, r.Test, r.Result}, " "))
	}
	want := []string{
		"base example.test/ex/bad TestF31_Home pass",
		"base example.test/ex/bad TestParentOnly fail",
		"base example.test/ex/bad TestParentOnly/fine pass",
		"base example.test/ex/bad TestTable fail",
		"base example.test/ex/bad TestTable/a pass",
		"base example.test/ex/bad TestTable/b fail",
		"base example.test/ex/broken  fail",
		"base example.test/ex/good TestPlain pass",
		"base example.test/ex/good TestSkips skip",
		"base example.test/ex/good TestTable pass",
		"base example.test/ex/good TestTable/a pass",
		"base example.test/ex/good TestTable/b pass",
		"base example.test/ex/leaks  fail",
		"base example.test/ex/leaks TestFine pass",
		"base example.test/ex/panics TestFirst pass",
		"base example.test/ex/panics TestPanics fail",
		"base example.test/ex/panics TestPanics/deep fail",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	// bad: F31, fine, a pass; b and ParentOnly itself fail. good: 3 pass, 1 skip.
	wantCount := count{Passed: 3 + 3 + 1 + 1, Failed: 2 + 1 + 1 + 1, Skipped: 1}
	if c := countLeaves(ta.results("base")); c != wantCount {
		t.Errorf("count: got %+v, want %+v", c, wantCount)
	}
	for _, want := range []string{
		"b is wrong", "after the subtest", "undefined: undefined", "panic: planted",
		"found unexpected goroutines", "SKIP example.test/ex/good TestSkips", "no root",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "PASS") || strings.Contains(out, "=== RUN") {
		t.Errorf("the report has noise:\n%s", out)
	}
}

func TestTallyCountsATestLeftRunningAsFailed(t *testing.T) {
	var ta tally
	ta.add(event{Action: "run", Package: "p", Test: "TestHangs"})
	ta.add(event{Action: "output", Package: "p", Test: "TestHangs", Output: "waits for a reply\n"})
	end := ta.add(event{Action: failed, Package: "p"})
	if end == nil || !strings.Contains(strings.Join(end.Output, ""), "waits for a reply") {
		t.Errorf("got %+v, want the output of the test that hung", end)
	}
	if c := countLeaves(ta.results("s")); c != (count{Failed: 1}) {
		t.Errorf("got %+v, want 1 failed", c)
	}
}

func TestTallyKeepsTheWorstOfRepeatedRuns(t *testing.T) {
	var ta tally
	for _, end := range []string{passed, failed, passed} {
		ta.add(event{Action: "run", Package: "p", Test: "TestFlaky"})
		ta.add(event{Action: end, Package: "p", Test: "TestFlaky"})
	}
	if c := countLeaves(ta.results("s")); c != (count{Failed: 1}) {
		t.Errorf("got %+v, want 1 failed", c)
	}
}

func TestCountsArePrinted(t *testing.T) {
	var ta tally
	var out bytes.Buffer
	in := `{"Action":"attr","Package":"p","Test":"TestA","Key":"counts","Value":"hit 2 of 2"}` + "\n" +
		`{"Action":"attr","Package":"p","Test":"TestA","Key":"other","Value":"nobody's"}` + "\n"
	if err := (runner{Out: &out}).read(strings.NewReader(in), suite{}, &ta); err != nil {
		t.Fatal(err)
	}
	if out.String() != "   hit 2 of 2\n" {
		t.Errorf("printed %q", out.String())
	}
}
