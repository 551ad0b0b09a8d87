// Package cloud follows the document of the cloud in memory to the letter.
package cloud

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/prose"
)

const root = "../.."

// program builds nicferry-lab and returns the folder that it is in.
func program(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir, "./cmd/nicferry-lab")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build nicferry-lab: %v\n%s", err, out)
	}
	return dir
}

// A reader with one shell types all of the document, from top to bottom, and sees
// what it shows.
func TestCloudsimDocument(t *testing.T) {
	t.Parallel()
	fences, err := prose.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	var steps []prose.Step
	for _, f := range prose.Of(fences, "cloudsim") {
		more, err := f.Steps()
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, more...)
	}
	if len(steps) < 15 {
		t.Fatalf("the document has only %d steps", len(steps))
	}
	dir := t.TempDir()
	var script strings.Builder
	fmt.Fprint(&script, "trap 'kill \"$cloud\" 2>/dev/null' EXIT\n")
	for n, s := range steps {
		fmt.Fprintf(&script, "{ %s\n} >%d.out 2>&1\necho $? >%d.code\n", s.Command, n, n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-u", "-c", script.String())
	shell.Dir, shell.WaitDelay = dir, 10*time.Second
	shell.Env = []string{"PATH=" + program(t) + ":/usr/bin:/bin", "HOME=" + dir, "LC_ALL=C.UTF-8", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true"}
	if out, err := shell.CombinedOutput(); err != nil {
		t.Errorf("the shell: %v\n%s", err, out)
	}
	for n, s := range steps {
		seen, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.out", n)))
		if err != nil {
			t.Fatalf("%s: %s was not reached", s.At, s.Command)
		}
		code, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.code", n)))
		if err != nil {
			t.Fatalf("%s: %s did not end", s.At, s.Command)
		}
		refused := strings.Contains(s.Output, "An error occurred") || strings.HasPrefix(s.Output, "nicferry-lab: ")
		if failed := strings.TrimSpace(string(code)) != "0"; failed != refused {
			t.Errorf("%s: %s: exit code %s\n%s", s.At, s.Command, code, seen)
		}
		if err := prose.Shows(s.Output, string(seen)); err != nil {
			t.Errorf("%s: %s: %v", s.At, s.Command, err)
		}
	}
}

// The document has each verb of both kinds of faults.
func TestCloudsimDocumentHasAllVerbs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/cloudsim.md"))
	if err != nil {
		t.Fatal(err)
	}
	verbs := 0
	for _, path := range []string{"internal/cloudsim/fault.go", "internal/cloudsim/imds/fault.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			kind, ok := spec.Type.(*ast.Ident)
			if of, is := spec.Type.(*ast.SelectorExpr); is {
				kind, ok = of.Sel, true
			}
			if !ok || kind.Name != "Verb" {
				return true
			}
			verb, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			verbs++
			if !strings.Contains(string(text), "`"+verb+"`") {
				t.Errorf("docs/cloudsim.md has no `%s` of %s", verb, path)
			}
			return true
		})
	}
	if verbs < 25 {
		t.Errorf("only %d verbs are found", verbs)
	}
}
