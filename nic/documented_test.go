package nic_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nicferry/nicferry/nic"
)

// firsts are what stands first in the rows of a document's tables, between marks.
func firsts(t *testing.T, file, from, to string) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), from)
	part, _, found := strings.Cut(after, to)
	if !found {
		t.Fatalf("docs/%s has no part from %q to %q", file, from, to)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(part, -1) {
		all = append(all, m[1])
	}
	return all
}

// constants are the strings of the constants of a file whose names begin so.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) == 0 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
		return true
	})
	return all
}

var sorted = cmpopts.SortSlices(func(a, b string) bool { return a < b })

// docs/labels.md has each label and each name within the long one, and no other.
func TestLabelsAreDocumented(t *testing.T) {
	t.Parallel()
	var want []string
	for _, label := range constants(t, "label.go", "Label") {
		switch label {
		case nic.LabelPrefix:
		case nic.LabelNIC:
			want = append(want, label+"INTERFACE")
		default:
			want = append(want, label)
		}
	}
	labels := firsts(t, "labels.md", "# Labels", "In the value of")
	if diff := cmp.Diff(want, labels, sorted); diff != "" || len(labels) < 5 {
		t.Errorf("labels of the program (-) and of docs/labels.md (+):\n%s", diff)
	}
	const in = nic.LabelNIC + "eth1"
	fault := nic.ParseLabels(map[string]string{in: "nonsense=1"})[0].Faults.Error()
	_, known, ok := strings.Cut(fault, "known are ")
	names := firsts(t, "labels.md", "In the value of", "An interface's name")
	if diff := cmp.Diff(strings.Split(known, ", "), names, sorted); diff != "" || !ok {
		t.Errorf("names of the program (-) and of docs/labels.md (+):\n%s", diff)
	}
	for _, name := range names {
		if fault := nic.ParseLabels(map[string]string{in: name + "=?"})[0].Faults.Error(); strings.Contains(fault, "no such name") {
			t.Errorf("docs/labels.md has %s, and the program has not: %s", name, fault)
		}
	}
}

// docs/troubleshooting.md explains each reason, and no other.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	want := constants(t, "condition.go", "Reason")
	got := firsts(t, "troubleshooting.md", "## What a claim says", "## No address")
	if diff := cmp.Diff(want, got, sorted); diff != "" || len(want) < 20 {
		t.Errorf("reasons of the program (-) and of docs/troubleshooting.md (+):\n%s", diff)
	}
}
