package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatus(t *testing.T) {
	text, err := os.ReadFile("testdata/README-status.md")
	if err != nil {
		t.Fatal(err)
	}
	claims, faults := parseStatus(string(text))
	want := []claim{
		{10, "plain things work", []string{"TestPlain", "TestTable/a"}},
		{11, "comes home clean", []string{"TestF31_Home"}},
		{12, "moves", nil},
		{14, "a lost test", []string{"TestLost"}},
		{15, "skipped", []string{"TestSkips"}},
		{16, "broken", []string{"TestTable"}},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if len(faults) != 1 || !strings.Contains(faults[0], `line 13: "a bare claim"`) {
		t.Errorf("faults: got %q, want one for line 13", faults)
	}
	if _, faults := parseStatus("# nothing\n| a | TestA |\n"); len(faults) != 1 {
		t.Errorf("no status table: got %q, want one fault", faults)
	}
}

func TestCheckStatus(t *testing.T) {
	exist := map[string]bool{"TestPlain": true, "TestTable": true, "TestSkips": true, "TestIdle": true, "TestLong": true}
	results := map[string]string{
		"TestPlain": passed, "TestTable": failed, "TestTable/a": passed, "TestSkips": skipped,
	}
	tests := []struct {
		test, always, ran string
	}{
		{"TestPlain", "", ""},
		{"TestTable/a", "", ""},
		{"TestTable", "", "failed"},
		{"TestTable/c", "", "did not run"},
		{"TestSkips", "", "was skipped"},
		{"TestIdle", "", "did not run"},
		{"TestLost", "does not exist", "does not exist"},
		{"TestLong", "", ""},
	}
	for _, tt := range tests {
		claims := []claim{{Line: 3, What: "w", Tests: []string{tt.test}}}
		for want, results := range map[string]map[string]string{tt.always + "/names": nil, tt.ran + "/ran": results} {
			want, _, _ := strings.Cut(want, "/")
			got, notRun := checkStatus(claims, exist, map[string]bool{"TestLong": true}, results)
			if told := results != nil && tt.test == "TestLong"; told != (len(notRun) == 1) {
				t.Errorf("%s with results %v: told as not run: %q", tt.test, results != nil, notRun)
			}
			if want == "" && len(got) == 0 {
				continue
			}
			if len(got) != 1 || !strings.HasSuffix(got[0], tt.test+" "+want) {
				t.Errorf("%s with results %v: got %q, want %q", tt.test, results != nil, got, want)
			}
		}
	}
}

// The README names no test that is not there: a row's proof would be a word.
func TestTheREADMENamesRealTests(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	exist, err := testNames("../..")
	if err != nil {
		t.Fatal(err)
	}
	claims, faults := parseStatus(string(readme))
	more, _ := checkStatus(claims, exist, nil, nil)
	for _, f := range append(faults, more...) {
		t.Error("README.md:", f)
	}
}

func TestParseModesFindsEveryFault(t *testing.T) {
	modes, err := parseModes("# a comment\nF01\tleaves nothing\tplanned\nS7\tno rogue router\trequired\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []mode{{"F1", "leaves nothing", false}, {"S7", "no rogue router", true}}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	_, err = parseModes("F1\ta\tplanned\nF01\tagain\tplanned\nX9\tb\tplanned\nF2\tc\tmaybe\nF3 d planned\n")
	if err == nil {
		t.Fatal("a list with four faults was accepted")
	}
	for _, line := range []string{"line 2: F1 is there twice", "line 3:", "line 4:", "line 5:"} {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("the error does not name %s: %v", line, err)
		}
	}
}

func TestProve(t *testing.T) {
	modes := []mode{{"F1", "a", false}, {"F7", "b", true}, {"F57", "c", true}, {"F58", "d", true}, {"S7", "e", true}, {"S8", "f", false}}
	results := map[string]string{
		"TestF57_F58_Renews": passed, "TestF57_F58_Renews/sub": failed, "TestF58_Again": passed,
		"TestS7_Advert": skipped, "TestS08_Shell": failed, "TestF99_Typo": passed, "TestFast": passed,
	}
	proofs, faults := prove(modes, results)
	var got []string
	for _, p := range proofs {
		got = append(got, p.ID+" "+p.Result+" "+strings.Join(p.Tests, ","))
	}
	want := []string{
		"F1  ", "F7  ", "F57 pass TestF57_F58_Renews", "F58 pass TestF57_F58_Renews,TestF58_Again",
		"S7 skip TestS7_Advert", "S8 fail TestS08_Shell",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proofs (-want +got):\n%s", diff)
	}
	wantFaults := []string{
		"F7 is required, and no test named TestF7_… ran",
		"S7 is required, and TestS7_Advert was skipped",
		"S8: TestS08_Shell failed",
		"TestF99_Typo is named after F99, which docs/failure-modes.tsv does not list",
	}
	if diff := cmp.Diff(wantFaults, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	var out bytes.Buffer
	printProofs(&out, proofs)
	for _, want := range []string{"F1   planned", "F7   MISSING", "F57  pass"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the list does not say %q:\n%s", want, out.String())
		}
	}
}

// The project's own list must be readable and whole.
func TestFailureModesListIsWhole(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", failureModes))
	if err != nil {
		t.Fatal(err)
	}
	modes, err := parseModes(string(text))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range modes {
		counts[m.ID[:1]]++
	}
	if counts["F"] != 70 || counts["S"] != 18 {
		t.Errorf("got %v, want 70 F and 18 S", counts)
	}
}

func TestResultsOfOtherSuitesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build", "results.jsonl")
	save := func(o outcome) {
		t.Helper()
		if err := saveResults(path, []outcome{o}); err != nil {
			t.Fatal(err)
		}
	}
	named := func(suite, end string) outcome {
		o := outcomeOf(0)
		o.Suite.Name = suite
		o.Results = []result{{suite, "p", "Test" + suite, end, 1.5, false}}
		return o
	}
	save(named("A", passed))
	save(named("B", failed))
	save(named("A", skipped))
	got, err := loadResults(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []result{{"B", "p", "TestB", failed, 1.5, false}, {"A", "p", "TestA", skipped, 1.5, false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestCommandsSayWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := func(wantCode int, wantText string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), root, args, &out); code != wantCode || !strings.Contains(out.String(), wantText) {
			t.Errorf("%q: exit %d, want %d and %q:\n%s", args, code, wantCode, wantText, out.String())
		}
	}
	check(2, "usage")
	check(2, "no command", "tset")
	check(2, "no suite", "test", "agnet")
	check(1, "README.md", "status")
	write("README.md", "## Status\n\n| what | proof |\n|---|---|\n| x | `TestThere` |\n")
	check(1, "TestThere does not exist", "status")
	write("a/a_test.go", "package a\n\nfunc TestThere() {}\n")
	check(0, "1 rows with tests", "status")
	write(resultsFile, `{"suite":"base","package":"a","test":"TestThere","result":"skip","seconds":0}`+"\n")
	check(1, "TestThere was skipped", "status")
	write("docs/failure-modes.tsv", "F1\tx\trequired\n")
	check(1, "no test named TestF1_… ran", "failure-modes")
	if err := os.Remove(filepath.Join(root, resultsFile)); err != nil {
		t.Fatal(err)
	}
	check(1, "run `make test` first", "failure-modes")
}
