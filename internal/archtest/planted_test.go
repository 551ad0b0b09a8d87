package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The checks must be seen to bite: each fault here is planted.

func TestPlantedImportsAreFound(t *testing.T) {
	file, err := os.Open("testdata/planted.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	g, err := ReadGraph("example.test/m", file)
	if err != nil {
		t.Fatal(err)
	}
	faults, waiting := Check(g, Arrows())
	var got []string
	for _, f := range faults {
		what, _, _ := strings.Cut(f, ": ")
		way := f[strings.LastIndex(f, " (")+2:]
		got = append(got, what+": "+strings.TrimSuffix(way, ")"))
	}
	want := []string{
		"nic may not import github.com/vishvananda/netlink: nic → github.com/vishvananda/netlink", // not the standard library
		"nic may not import github.com/vishvananda/netlink: nic → github.com/vishvananda/netlink", // nor internal/link
		"provider may not import net/http: provider → net/http",
		"provider/aws may not import provider/local: provider/aws → provider/local",
		"allocator/pool may not import os: allocator/pool → os",
		"internal/keyed may not import provider: internal/keyed → provider",
		"vmagent may not import provider: vmagent → internal/keyed → provider",
		"cmd/nicferry-agent may not link C, as example.org/withc does: cmd/nicferry-agent → vmagent/containers → github.com/docker/docker/client → example.org/withc",
		"cmd/nicferry-agent may not import github.com/aws/aws-sdk-go-v2: cmd/nicferry-agent → vmagent/containers → github.com/docker/docker/client → example.org/withc → github.com/aws/aws-sdk-go-v2",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if !slices.ContainsFunc(waiting, func(a Arrow) bool { return slices.Contains(a.From, "migrate/saga/...") }) {
		t.Error("a row without packages was not said to be waiting")
	}
}

func TestEveryRowHasAReasonAndForbidsSomething(t *testing.T) {
	for _, a := range Arrows() {
		if a.Because == "" || len(a.From) == 0 || (len(a.To) == 0 && len(a.Calls) == 0 && !a.Cgo) {
			t.Errorf("%+v: a field is empty", a)
		}
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"nic", "nic", true},
		{"nic", "nic/x", false},
		{"vmagent/...", "vmagent", true},
		{"vmagent/...", "vmagent/dhcp/x", true},
		{"vmagent/...", "vmagents", false},
		{"provider/*", "provider/aws", true},
		{"provider/*", "provider", false},
		{"provider/*", "provider/aws/x", false},
		{"provider/*/...", "provider/aws/x", true},
		{"provider/*/...", "provider", false},
		{"github.com/spf13/cobra/...", "github.com/spf13/cobra", true},
	}
	for _, tt := range tests {
		if got := match(tt.pattern, tt.path); got != tt.want {
			t.Errorf("match(%q, %q): got %v", tt.pattern, tt.path, got)
		}
	}
}

// source writes and reads a file.
func source(t *testing.T, name, text string) *Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSource(path, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// function has n lines, its braces counted.
func function(n int) string { return "func f() {" + strings.Repeat("\n", n-1) + "}\n" }

func TestPlantedSizesAreFound(t *testing.T) {
	tests := []struct {
		name, file, text, want string
	}{
		{"function at the cap", "a.go", "package a\n\n" + function(70), ""},
		{"function over the cap", "a.go", "package a\n\n" + function(71), "a.go:3: f has 71 lines"},
		{"test function at its cap", "a_test.go", "package a\n\n" + function(100), ""},
		{"test function over its cap", "a_test.go", "package a\n\n" + function(101), "a_test.go:3: f has 101 lines"},
		{"file at the cap", "a.go", "package a\n" + strings.Repeat("\n", 499), ""},
		{"file over the cap", "a.go", "package a\n" + strings.Repeat("\n", 500), "a.go has 501 lines"},
		{"test file over the cap", "a_test.go", "package a\n" + strings.Repeat("\n", 500), "a_test.go has 501 lines"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, CheckCaps(source(t, tt.file, tt.text)), tt.want) })
	}
}

func TestPlantedCommentsAreFound(t *testing.T) {
	const good, bare, odd = "// Package a is a noun.\npackage a\n", "package a\n", "// A is a noun.\npackage a\n"
	tests := []struct {
		name  string
		texts []string
		want  string
	}{
		{"one", []string{bare, good}, ""},
		{"none", []string{bare}, "x/a has no package comment"},
		{"apart from the clause", []string{"// Package a is a noun.\n\npackage a\n"}, "x/a has no package comment"},
		{"odd", []string{odd}, `must begin with "Package a "`},
		{"two", []string{good, good}, "several package comments, in f0.go, f1.go"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sources []*Source
			for i, text := range tt.texts {
				sources = append(sources, source(t, fmt.Sprintf("f%d.go", i), text))
			}
			expect(t, CheckComment("x/a", "a", sources), tt.want)
		})
	}
	main := source(t, "main.go", "// Command tool does it.\npackage main\n")
	expect(t, CheckComment("cmd/tool", "main", []*Source{main}), "")
	expect(t, CheckComment("cmd/other", "main", []*Source{main}), `must begin with "Command other "`)
}

func TestPlantedCallsAreFound(t *testing.T) {
	const text = `package a

import (
	"time"
	sys "golang.org/x/sys/unix"
)

type clock struct{ Now func() time.Time }

func f(c clock) { c.Now(); sys.Setns(0, 0); _ = time.Now }
`
	calls := []string{"time.Now", "golang.org/x/sys/unix.Setns"}
	faults := CheckCalls(source(t, "a.go", text), calls, "reasons")
	want := []string{
		"a.go:10: may not use golang.org/x/sys/unix.Setns: reasons",
		"a.go:10: may not use time.Now: reasons",
	}
	if !slices.Equal(faults, want) {
		t.Errorf("got %q, want %q", faults, want)
	}
	expect(t, CheckCalls(source(t, "a_test.go", text), calls, "reasons"), "")
}

// expect wants one fault that contains want, or none.
func expect(t *testing.T, faults []string, want string) {
	t.Helper()
	if want == "" && len(faults) == 0 {
		return
	}
	if len(faults) != 1 || want == "" || !strings.Contains(faults[0], want) {
		t.Errorf("got %q, want %q", faults, want)
	}
}
