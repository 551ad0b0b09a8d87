//go:build linux

package labtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/labtest"
)

// The programs of an earlier commit are built once, also out of a clone that lacks
// it and came from a directory of this machine. Where it came from elsewhere, the
// error says what to do, and so does a file that names no commit.
func TestPrevious(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	programs := []string{"nicferryd", "nicferry-agent", "nicferry"}
	commit := func(says string) string {
		t.Helper()
		for _, name := range programs {
			write("origin/cmd/"+name+"/main.go", "package main\n\nfunc main() { print(\""+says+"\") }\n")
		}
		git("-C", origin, "add", ".")
		git("-C", origin, "commit", "-q", "-m", says)
		return git("-C", origin, "rev-parse", "HEAD")
	}
	write("origin/go.mod", "module example.com/m\n\ngo 1.24\n")
	git("init", "-q", origin)
	first := commit("first")
	commit("second")
	file := write("previous", "# a comment\n"+first+"\n")

	shallow, elsewhere := filepath.Join(dir, "shallow"), filepath.Join(dir, "elsewhere")
	for _, clone := range []string{shallow, elsewhere} {
		git("clone", "-q", "--depth", "1", "file://"+origin, clone)
	}
	for _, root := range []string{origin, shallow, shallow} {
		bin, err := labtest.Previous(t.Context(), root, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range programs {
			out, err := exec.CommandContext(t.Context(), filepath.Join(bin, name)).CombinedOutput()
			if err != nil || string(out) != "first" {
				t.Errorf("%s in %s says %q, %v", name, bin, out, err)
			}
		}
	}
	git("-C", elsewhere, "remote", "set-url", "origin", "https://example.invalid/m.git")
	for file, want := range map[string]string{
		file:                                   "git fetch --unshallow",
		write("none", "# a comment alone\n"):   "want one whole commit",
		write("short", first[:12]+"\n"):        "want one whole commit",
		write("flag", "--upload-pack=false\n"): "want one whole commit",
	} {
		if _, err := labtest.Previous(t.Context(), elsewhere, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", filepath.Base(file), err, want)
		}
	}
}
