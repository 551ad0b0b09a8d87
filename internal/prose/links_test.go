package prose_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// anchors are the names by which a document's headings are linked to.
func anchors(markdown string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(markdown, -1) {
		name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

// What a document links to in the project is there, also the heading.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	const root = "../.."
	links := 0
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "examples/*/README.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatal(pattern, paths, err)
		}
		for _, path := range paths {
			for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				links++
				name, anchor, _ := strings.Cut(m[1], "#")
				target := path
				if name != "" {
					target = filepath.Join(filepath.Dir(path), name)
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s: %s: %v", path, m[1], err)
				} else if anchor != "" && !anchors(read(t, target))[anchor] {
					t.Errorf("%s: %s: no such heading", path, m[1])
				}
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links", links)
	}
}

// docs/README.md names each document beside it.
func TestIndexNamesEachDocument(t *testing.T) {
	t.Parallel()
	const docs = "../../docs"
	index := read(t, filepath.Join(docs, "README.md"))
	entries, err := os.ReadDir(docs)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".md") && name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
