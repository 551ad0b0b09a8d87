package prose_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The messages that docs/troubleshooting.md quotes are the program's own.
func TestQuotedMessagesAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	const root = "../.."
	var source strings.Builder
	for _, dir := range []string{"cmd", "internal", "nic", "allocator", "vmagent"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, part, _ := strings.Cut(read(t, filepath.Join(root, "docs/troubleshooting.md")), "| message | what to do |\n|---|---|\n")
	part, _, _ = strings.Cut(part, "\n\n")
	rows := regexp.MustCompile(`(?m)^\| (.+?) \|`).FindAllStringSubmatch(part, -1)
	if len(rows) < 10 {
		t.Errorf("only %d messages", len(rows))
	}
	for _, row := range rows {
		for _, piece := range strings.Split(row[1], "…") {
			if !strings.Contains(source.String(), strings.TrimSpace(piece)) {
				t.Errorf("docs/troubleshooting.md quotes %q; no program says %q", row[1], strings.TrimSpace(piece))
			}
		}
	}
}
