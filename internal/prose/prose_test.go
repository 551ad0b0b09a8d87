package prose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/internal/prose"
)

const text = "a\n<!-- run: x -->\n```sh\n# on the host\nls\n```\n```xml\n<a/>\n```\n<!-- not run: it costs money -->\n\n" +
	"```console\nvm1# ps \\\n  aux\n PID\n   1\n$ id\n```\n"

func TestFencesAndSteps(t *testing.T) {
	t.Parallel()
	fences, err := prose.Parse("d.md", text)
	if err != nil || len(fences) != 3 {
		t.Fatalf("%+v, %v", fences, err)
	}
	if f := fences[0]; f.Run != "x" || f.Where() != "d.md:3" || !f.HasCommands() {
		t.Errorf("%+v", f)
	}
	if f := fences[1]; f.Marked || f.HasCommands() {
		t.Errorf("%+v", f)
	}
	if f := fences[2]; f.NotRun != "it costs money" || !f.HasCommands() {
		t.Errorf("%+v", f)
	}
	var steps []prose.Step
	for _, f := range []prose.Fence{fences[0], fences[2]} {
		s, err := f.Steps()
		if err != nil {
			t.Error(err)
		}
		steps = append(steps, s...)
	}
	want := []prose.Step{
		{At: "d.md:3", On: "host", Command: "# on the host\nls\n"},
		{At: "d.md:13", On: "vm1", Command: "ps \\\n  aux", Output: " PID\n   1\n"},
		{At: "d.md:17", User: true, Command: "id"},
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Error(diff)
	}
	if got := prose.Of(fences, "x"); len(got) != 1 || got[0].Line != 3 {
		t.Errorf("of x: %+v", got)
	}
	if len(prose.Of(fences, "y")) != 0 {
		t.Error("there is something of y")
	}
}

func TestFaultsOfADocument(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"```sh\nls\n":                       "d.md:1: the fence has no end",
		"<!-- run: x -->\nand\n```\n```\n":  "stands before no fence",
		"<!-- not run: no -->\n":            "stands before no fence",
		"<!-- run: x -->\n\n\nwords\n\n```": "stands before no fence",
	} {
		if _, err := prose.Parse("d.md", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := (prose.Fence{Language: "console", Text: "output\n"}).Steps(); err == nil {
		t.Error("a console without a prompt is taken")
	}
}

func TestShows(t *testing.T) {
	t.Parallel()
	const seen = "CLAIM                  PHASE   AGE\nclm-0123456789abcdef   bound   2s\n10.77.0.12/24 e2:4e:00:00:00:01\nend\n"
	for shown, want := range map[string]bool{
		"":                                true,
		"CLAIM PHASE AGE":                 true,
		"clm-ffff456789abcdef bound 10ms": true,
		"CLAIM   PHASE   AGE\n…\nend":     true,
		"10.77.0.9/24 e2:4e:ab:cd:ef:01":  true,
		"clm-ffff456789abcdef …":          true,
		"end\nCLAIM PHASE AGE":            false,
		"clm-ffff456789abcdef refused 2s": false,
		"en":                              false,
	} {
		if err := prose.Shows(shown, seen); (err == nil) != want {
			t.Errorf("%q: %v", shown, err)
		}
	}
}

func documents(t *testing.T) []prose.Fence {
	t.Helper()
	fences, err := prose.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(fences) < 20 {
		t.Fatalf("only %d fences in the documents", len(fences))
	}
	return fences
}

// Each fence with commands says what runs it or why nothing does.
func TestEveryCommandIsRunOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	tests, _ := declared(t)
	for _, f := range documents(t) {
		switch {
		case f.HasCommands() && !f.Marked:
			t.Errorf("%s: commands with neither <!-- run: ID --> nor <!-- not run: why --> before them", f.Where())
		case f.Marked && f.Run == "" && len(f.NotRun) < 20:
			t.Errorf("%s: the mark says nothing; give a name, or a reason with the test that shows the same", f.Where())
		case f.Marked && !f.HasCommands():
			t.Errorf("%s: a mark, and no commands: give the fence the language console or sh", f.Where())
		}
		if _, err := f.Steps(); err != nil && f.HasCommands() {
			t.Error(err)
		}
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(f.NotRun, -1) {
			if !tests[name] {
				t.Errorf("%s: there is no test %s", f.Where(), name)
			}
		}
	}
}

// Each name of commands that are run is one that a test of the whole system says.
func TestEachNameIsRunByATest(t *testing.T) {
	t.Parallel()
	_, literals := declared(t)
	for _, f := range documents(t) {
		if f.Run != "" && !literals[f.Run] {
			t.Errorf("%s: no test in e2e has the name %q", f.Where(), f.Run)
		}
	}
}

// declared are the names of all tests of the project, and the strings in those
// of the whole system.
func declared(t *testing.T) (tests, literals map[string]bool) {
	t.Helper()
	const root = "../.."
	tests, literals = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		whole := strings.HasPrefix(path, filepath.Join(root, "e2e")+string(filepath.Separator))
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				tests[n.Name.Name] = true
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); err == nil && whole && n.Kind == token.STRING {
					literals[s] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, literals
}
