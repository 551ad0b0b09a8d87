//go:build linux

package vm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/virt"
)

// The same as e2e/packages has, by the same program, in a guest: dpkg, systemd
// and the units' hardening on Debian's own kernel.
func TestPackagesInAGuest(t *testing.T) {
	r := use(t)
	const bound = 12 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	dir := t.TempDir()
	for _, command := range [][]string{
		{"go", "test", "-c", "-o", filepath.Join(dir, "test"), "./e2e/packages"},
		{"make", "deb", "DEB=" + filepath.Join(dir, "1.0.0"), "DEB_VERSION=1.0.0", "VERSION=1.0.0"},
		{"env", "DEB_VERSION=2.0.0~rc.1", "scripts/deb", filepath.Join(dir, "1.0.0", "bin"), filepath.Join(dir, "2.0.0~rc.1")},
	} {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	const packages, etc, dpkg = "/srv/packages", "/srv/etc", "/srv/dpkg"
	s := r.spareOf("debian", virt.ACPI, 2048,
		guest.Export{Tag: "packages", Path: dir, Mount: packages},
		guest.Export{Tag: "etc", Path: "/etc", Mount: etc},
		guest.Export{Tag: "dpkg", Path: "/var/lib/dpkg", Mount: dpkg})
	s.boot()
	began := time.Now()
	cmd := s.client.Command(ctx, packages+"/test", "-test.v", "-test.run=^TestPackagesInstallUseUpgradePurge$", "-test.timeout="+bound.String())
	cmd.Env = []string{"NICFERRY_PACKAGES=" + packages, "NICFERRY_ETC=" + etc, "NICFERRY_DPKG=" + dpkg}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	r.must(err)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, readErr := os.ReadFile(out.Name())
	r.must(readErr)
	r.must(out.Close())
	if err != nil {
		t.Errorf("in the guest: %v", err)
	}
	t.Logf("in the guest, for %s:\n%s", time.Since(began).Round(time.Second), text)
}
