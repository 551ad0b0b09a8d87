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

func TestVet(t *testing.T) {
	t.Parallel()
	if out, err := run(t, nil, "go", "vet", "./..."); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

func TestStaticcheck(t *testing.T) {
	t.Parallel()
	if out, err := run(t, nil, "go", "tool", "-modfile=tools/go.mod", "staticcheck", "./..."); err != nil {
		t.Errorf("staticcheck: %v\n%s", err, out)
	}
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
