package buildtest

import (
	"strings"
	"testing"
)

func TestGofumpt(t *testing.T) {
	t.Parallel()
	out, err := stdout(t, "go", "tool", "-modfile=tools/go.mod", "gofumpt", "-l", ".")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("not formatted (make fmt): %v\n%s", err, out)
	}
}

// tags are those of a build with libvirt, and of one without.
var tags = map[string]string{"with libvirt": "libvirt,libvirt_dlopen", "without libvirt": ""}

func TestVet(t *testing.T) {
	t.Parallel()
	for name, tags := range tags {
		if out, err := run(t, nil, "go", "vet", "-tags="+tags, "./..."); err != nil {
			t.Errorf("go vet %s: %v\n%s", name, err, out)
		}
	}
}

// The tests are run with libvirt; what is said without it, here.
func TestWithoutLibvirt(t *testing.T) {
	t.Parallel()
	out, err := run(t, []string{"CGO_ENABLED=0"}, "go", "test", "-count=1", "./internal/virt")
	if err != nil || strings.Contains(out, "no test") {
		t.Errorf("go test ./internal/virt: %v\n%s", err, out)
	}
}

// What is the same without libvirt as with it is looked at once.
func TestStaticcheck(t *testing.T) {
	t.Parallel()
	for name, packages := range map[string][]string{"with libvirt": {"./..."}, "without libvirt": otherwiseWithoutLibvirt(t)} {
		args := append([]string{"tool", "-modfile=tools/go.mod", "staticcheck", "-tags=" + tags[name]}, packages...)
		if out, err := run(t, nil, "go", args...); err != nil {
			t.Errorf("staticcheck %s: %v\n%s", name, err, out)
		}
	}
}

// otherwiseWithoutLibvirt are the packages that have other files without libvirt.
func otherwiseWithoutLibvirt(t *testing.T) []string {
	t.Helper()
	files := map[string]string{} // by package, with libvirt
	for line := range strings.Lines(filesOf(t, tags["with libvirt"])) {
		path, with, _ := strings.Cut(line, " ")
		files[path] = with
	}
	var differ []string
	for line := range strings.Lines(filesOf(t, tags["without libvirt"])) {
		if path, without, _ := strings.Cut(line, " "); files[path] != without {
			differ = append(differ, path)
		}
	}
	if len(differ) == 0 {
		t.Error("no package has other files without libvirt: the tags are not those of any")
	}
	return differ
}

// filesOf lists each package and its files, a line each.
func filesOf(t *testing.T, tags string) string {
	t.Helper()
	out, err := stdout(t, "go", "list", "-tags="+tags, "-f", "{{.ImportPath}} {{.GoFiles}} {{.CgoFiles}} {{.TestGoFiles}} {{.XTestGoFiles}}", "./...")
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return out
}

// Every module that is built from must be the one that was reviewed.
func TestModulesAreUnchanged(t *testing.T) {
	t.Parallel()
	if out, err := run(t, nil, "go", "mod", "verify"); err != nil {
		t.Errorf("go mod verify: %v\n%s", err, out)
	}
	if out, err := stdout(t, "go", "list", "-m", "-f", "{{if .Replace}}{{.Path}}{{end}}", "all"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("go.mod replaces modules: %v\n%s", err, out)
	}
}
