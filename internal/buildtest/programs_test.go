package buildtest

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const agentCap = 20 << 20 // bytes

// kept is a folder for programs that stays, so that the next run need not link anew
// what has not changed.
func kept(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "build", "buildtest", name))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEveryProgramIsBuiltStatic(t *testing.T) {
	bin := kept(t, "static")
	if out, err := run(t, nil, "make", "build", "LIBVIRT=0", "BIN="+bin, "VERSION=v0.0.0-built"); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	for _, name := range []string{"nicferryd", "nicferry-agent", "nicferry", "nicferry-lab"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(bin, name)
			program, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer program.Close()
			for _, p := range program.Progs {
				if p.Type == elf.PT_INTERP {
					t.Error("needs a dynamic linker")
				}
			}
			if libraries, err := program.ImportedLibraries(); err == nil && len(libraries) > 0 {
				t.Errorf("needs libraries: %q", libraries)
			}
			args := []string{"--version"}
			if name == "nicferry" {
				args = []string{"version"}
			}
			out, err := run(t, nil, path, args...)
			if err != nil || !strings.Contains(out, "v0.0.0-built") {
				t.Errorf("%s %s: %v, %q; want the version that make gave", name, args[0], err, out)
			}
		})
	}
	t.Run("agent is small", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(bin, "nicferry-agent"))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("nicferry-agent has %.1f MiB", float64(info.Size())/(1<<20))
		if info.Size() > agentCap {
			t.Errorf("nicferry-agent has %d bytes, more than %d", info.Size(), agentCap)
		}
	})
}

// What speaks to libvirt is not static, but needs no more than every machine has:
// libvirt's library is loaded where there is one.
func TestProgramsWithLibvirtNeedOnlyTheCLibrary(t *testing.T) {
	bin := kept(t, "libvirt")
	if out, err := run(t, nil, "make", "build", "BIN="+bin, "VERSION=v0.0.0-built"); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	for name, libvirt := range map[string]bool{
		"nicferryd": true, "nicferry-lab": true, "nicferry-agent": false, "nicferry": false, "nicferry-wait": false,
	} {
		program, err := elf.Open(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := program.ImportedLibraries()
		if err := errors.Join(err, program.Close()); err != nil && libvirt {
			t.Errorf("%s: %v", name, err)
		}
		for _, library := range libraries {
			if !libvirt || !strings.HasPrefix(library, "libc.so") && !strings.HasPrefix(library, "libresolv.so") {
				t.Errorf("%s needs %s", name, library)
			}
		}
		if libvirt != (len(libraries) > 0) {
			t.Errorf("%s needs libraries: %q", name, libraries)
		}
	}
	if out, err := run(t, nil, filepath.Join(bin, "nicferryd"), "--version"); err != nil || !strings.Contains(out, "v0.0.0-built") {
		t.Errorf("nicferryd --version: %v, %q", err, out)
	}
}
