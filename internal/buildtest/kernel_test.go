package buildtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kernelWorld is a machine whose package lists have kernels, and whose
// dpkg-deb fails while there is a file called broken.
func kernelWorld(t *testing.T, dir string) string {
	t.Helper()
	return world(t, []string{"sh", "sed", "grep", "sort", "tail", "head", "ls", "mkdir", "rm", "mv", "ln", "cat", "dirname", "flock", "chown", "find"},
		map[string]string{
			"dpkg":      "echo amd64",
			"id":        "echo 0",
			"apt-cache": `printf 'linux-image-6.12.%s\n' 9+deb13-amd64 10+deb13-cloud-amd64 10+deb13-amd64 10+deb13-amd64-dbg 11+deb13-rt-amd64`,
			"apt-get":   `echo "$*" >>` + dir + `/calls; echo deb >"$3_1_amd64.deb"`,
			"dpkg-deb": `[ ! -e ` + dir + `/broken ] || { mkdir -p "$3/boot"; exit 1; }
				mkdir -p "$3/boot" "$3/usr/lib/modules/6" "$3/usr/share/doc"`,
			"depmod": `[ -d "$2/lib/modules/6" ]`,
		})
}

func TestGuestKernel(t *testing.T) {
	dir := t.TempDir()
	release := filepath.Join(dir, "os-release")
	if err := os.WriteFile(release, []byte("ID=debian\nVERSION_CODENAME=trixie\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + kernelWorld(t, dir), "NICFERRY_DEV_DIR=" + dir, "NICFERRY_OS_RELEASE=" + release}
	boot := filepath.Join(dir, "kernel", "6.12.10+deb13-amd64", "boot")

	// What was broken off is no kernel, and the next run starts over.
	if out, err := run(t, env, "/bin/sh", "scripts/guest-kernel"); err == nil {
		t.Errorf("a kernel that cannot be unpacked: exit 0\n%s", out)
	}
	if _, err := os.Stat(boot); err == nil {
		t.Error("half a kernel has the name of a whole one")
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, env, "/bin/sh", "scripts/guest-kernel")
	if err != nil || !strings.Contains(out, "fetching Linux 6.12.10+deb13-amd64") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(boot); err != nil {
		t.Error(err)
	}
	if out, err := run(t, env, "/bin/sh", "scripts/guest-kernel"); err != nil || out != "" {
		t.Errorf("with a kernel there: %v\n%s", err, out)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if want := "-q download linux-image-6.12.10+deb13-amd64\n"; err != nil || string(calls) != want+want {
		t.Errorf("apt-get was called with %s, %v; want twice %s", calls, err, want)
	}
}

func TestGuestKernelRefusesInWords(t *testing.T) {
	tests := []struct{ name, program, does, say string }{
		{"not amd64", "dpkg", "echo arm64", "this machine is arm64"},
		{"not root", "id", "echo 1000", "needs root"},
		{"no such kernel", "apt-cache", "echo linux-image-6.1.0-amd64", "have no linux-image-6.12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			bin := kernelWorld(t, dir)
			if err := os.WriteFile(filepath.Join(bin, tt.program), []byte("#!/bin/sh\n"+tt.does+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			env := []string{"PATH=" + bin, "NICFERRY_DEV_DIR=" + dir, "NICFERRY_OS_RELEASE=/dev/null"}
			out, err := run(t, env, "/bin/sh", "scripts/guest-kernel")
			if exitCode(err) != 1 || !strings.Contains(out, tt.say) {
				t.Errorf("exit %d, want 1 and %q:\n%s", exitCode(err), tt.say, out)
			}
		})
	}
}

// The suite is taken from where the machine has its Debian from, with the same
// keys, and the machine's own lists are left alone.
func TestBackportsComeFromTheMachinesOwnMirror(t *testing.T) {
	tests := []struct{ name, file, text, number, want string }{
		{
			"a paragraph", "debian.sources",
			"# a remark\n\nTypes: deb\nURIs: http://first.test/debian-security\nSuites: bookworm-security\nComponents: main\n\n" +
				"# another\nTypes: deb deb-src\nURIs: http://mirror.test/debian\nSuites: bookworm\n bookworm-updates\nComponents: main contrib\nSigned-By: /keys/mine.gpg\n",
			"2",
			"URIs: http://mirror.test/debian\nSigned-By: /keys/mine.gpg\nTypes: deb\nSuites: bookworm-backports\nComponents: main\n",
		},
		{
			"a line", "debian.list",
			"# a remark\ndeb [arch=amd64 signed-by=/keys/mine.gpg] http://mirror.test/debian bookworm main contrib\n",
			"2",
			"deb [arch=amd64 signed-by=/keys/mine.gpg] http://mirror.test/debian bookworm-backports main\n",
		},
		{
			"nothing", "", "", "",
			"Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			source := ""
			if tt.file != "" {
				file := filepath.Join(dir, tt.file)
				if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
				source = "Packages Debian bookworm main " + file + ":" + tt.number
			}
			release := filepath.Join(dir, "os-release")
			if err := os.WriteFile(release, []byte("ID=debian\nVERSION_CODENAME=bookworm\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			bin := world(t, []string{"sh", "sed", "grep", "awk", "head", "mkdir", "rm", "cp", "cat", "find"}, map[string]string{
				"apt-get": `if [ "$1" = indextargets ]; then echo "` + source + `"; else echo "apt-get $*" >>` + dir + `/calls; fi`,
			})
			env := []string{"PATH=" + bin, "NICFERRY_DEV_DIR=" + dir, "NICFERRY_OS_RELEASE=" + release}
			for range 2 { // the lists are read once
				if out, err := run(t, env, "/bin/sh", "scripts/backports", "apt-get", "install", "x"); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			checkBackports(t, dir, tt.want)
		})
	}
}

func checkBackports(t *testing.T, dir, want string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "apt/sources/nicferry-backports.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("sources are %s, %v", files, err)
	}
	if got, err := os.ReadFile(files[0]); err != nil || string(got) != want {
		t.Errorf("the source is\n%s%v; want\n%s", got, err, want)
	}
	conf := filepath.Join(dir, "apt/apt.conf")
	text, err := os.ReadFile(conf)
	for _, want := range []string{`Dir::Etc::sourceparts "` + dir, `Dir::State::lists "` + dir, `Dir::Cache::pkgcache ""`} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("apt is not told of %s: %v\n%s", want, err, text)
		}
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	install := "apt-get -c=" + conf + " install x\n"
	if want := "apt-get -c=" + conf + " -o DPkg::Lock::Timeout=300 -q update\n" + install + install; err != nil || string(calls) != want {
		t.Errorf("apt-get was called with\n%s%v; want\n%s", calls, err, want)
	}
}
