package certs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab/certs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A lab that is brought up again keeps its CA, so that what runs goes on.
func TestTheCAStays(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	ca, err := certs.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	first, err := ca.Node("vm1")
	if err != nil {
		t.Fatal(err)
	}
	signer, cert := read(first.CA), read(first.Cert)
	if ca, err = certs.New(dir); err != nil {
		t.Fatal(err)
	}
	again, err := ca.Node("vm1")
	if err != nil || again != first || read(first.CA) != signer || read(first.Cert) == cert {
		t.Errorf("again: %+v, %v; want the same files, the same CA and a new certificate", again, err)
	}
	for _, path := range []string{first.Key, filepath.Join(dir, "ca.key")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", path, info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.New(dir); err == nil || !strings.Contains(err.Error(), "remove the directory") {
		t.Errorf("a broken key: %v", err)
	}
}

func TestNamesAreNoPaths(t *testing.T) {
	t.Parallel()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "", "a/b", "-x"} {
		if pair, err := ca.Node(name); err == nil {
			t.Errorf("node %q: %+v", name, pair)
		}
	}
}
