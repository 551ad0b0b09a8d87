package buildtest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestMakeHelpNamesEveryTarget(t *testing.T) {
	out, err := run(t, nil, "make")
	if err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	for _, target := range []string{
		"help", "demo", "demo-local", "build", "deb", "deps", "check", "test", "test-long", "bench", "status", "failure-modes", "fmt", "clean-host",
	} {
		if !regexp.MustCompile(`(?m)^  ` + target + ` +\S`).MatchString(out) {
			t.Errorf("make help does not explain %s:\n%s", target, out)
		}
	}
}

// world makes a folder with only these commands of the machine, and others as
// scripts, to be the whole PATH.
func world(t *testing.T, machine []string, scripts map[string]string) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range machine {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestNeedGo(t *testing.T) {
	basics := []string{"sh", "sed", "uname", "dirname", "cat"}
	goIs := func(version string) map[string]string { return map[string]string{"go": "echo " + version} }
	tests := []struct {
		name    string
		scripts map[string]string
		env     string
		code    int
		say     string
	}{
		{"none", nil, "", 1, "tar -C /usr/local -xz"},
		{"too old", goIs("go1.19.8"), "", 1, "Go 1.19.8 is too old"},
		{"before go env GOVERSION", goIs(""), "", 1, "does not tell its version"},
		{"fetches a newer one", goIs("go1.21.0"), "", 0, ""},
		{"may not fetch", goIs("go1.23.4"), "GOTOOLCHAIN=local", 1, "GOTOOLCHAIN=auto make"},
		{"as it should be", goIs("go1.26.0"), "GOTOOLCHAIN=local", 0, ""},
		{"a build with a suffix", goIs("go1.27rc1-custom"), "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run(t, []string{"GOTOOLCHAIN=", "PATH=" + world(t, basics, tt.scripts), tt.env}, "/bin/sh", "scripts/need-go")
			if exitCode(err) != tt.code || !strings.Contains(out, tt.say) {
				t.Errorf("exit %d, want %d and %q:\n%s", exitCode(err), tt.code, tt.say, out)
			}
		})
	}
}

// The scripts add /usr/sbin and /sbin to PATH, so that what lives there cannot be
// hidden; these worlds lack what is in /usr/bin.
func TestInstallDepsRefusesInWords(t *testing.T) {
	basics := []string{"sh", "sed", "grep", "ldd", "cat"}
	tests := []struct {
		name    string
		scripts map[string]string
		say     []string
	}{
		{"not Linux", map[string]string{"uname": "echo Darwin"}, []string{"needs Linux", "Darwin"}},
		{
			"not Debian",
			map[string]string{"uname": "echo Linux"},
			[]string{"lacks:", "docker.io", "a private Docker engine", "not Debian or Ubuntu", "by hand"},
		},
		{
			"not root",
			map[string]string{"uname": "echo Linux", "id": "echo 1000", "apt-get": "exit 1", "dpkg-query": "exit 1"},
			[]string{"needs root", "apt-get install -y --no-install-recommends", "docker.io"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := []string{"PATH=" + world(t, basics, tt.scripts), "NICFERRY_DEV_DIR=" + t.TempDir()}
			out, err := run(t, env, "/bin/sh", "scripts/install-deps", "test")
			if exitCode(err) != 1 {
				t.Errorf("exit %d, want 1", exitCode(err))
			}
			for _, say := range tt.say {
				if !strings.Contains(out, say) {
					t.Errorf("does not say %q:\n%s", say, out)
				}
			}
		})
	}
}

func TestInstallDepsHasNothingToDoOnAReadyMachine(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		out, err := run(t, []string{"NICFERRY_DEV_DIR=" + dir}, "scripts/install-deps", "test")
		if err != nil || out != "" {
			t.Errorf("on a machine that has all: %v\n%s", err, out)
		}
	}
}

func TestCleanHost(t *testing.T) {
	// dpkg knows three packages; a fourth on the list is gone already.
	installed := "printf 'installed alpha\\ninstalled beta\\ninstalled theirs\\n'"
	tests := []struct {
		name, record, apt, uid, yes string
		code                        int
		say, done                   string
	}{
		{"nothing recorded", "", "", "0", "1", 0, "nothing to remove", ""},
		{"all gone", "gone\n", "", "0", "1", 0, "gone already", ""},
		{"not root", "alpha\n", "", "1000", "1", 1, "needs root. They are: alpha", ""},
		{"nobody to ask", "alpha\nbeta\n", "", "0", "", 1, "say YES=1", ""},
		{"removes exactly its own", "alpha\nbeta\ngone\n", "", "0", "1", 0, "alpha beta", "remove -y alpha beta"},
		{"somebody needs it", "alpha\n", "Remv theirs [1]", "0", "1", 1, "these would go too: theirs", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			log := filepath.Join(t.TempDir(), "log")
			if tt.record != "" {
				if err := os.WriteFile(filepath.Join(dir, "installed"), []byte(tt.record), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			bin := world(t, []string{"sh", "sed", "sort", "comm", "rm", "rmdir", "dirname"}, map[string]string{
				"dpkg-query": installed, "id": "echo " + tt.uid,
				"apt-get": `if [ "$1" = -s ]; then echo '` + tt.apt + `'; else echo "$*" >>` + log + `; fi`,
			})
			env := []string{"PATH=" + bin, "NICFERRY_DEV_DIR=" + dir, "NICFERRY_LAB_DIRS=" + filepath.Join(dir, "lab"), "YES=" + tt.yes}
			out, err := run(t, env, "/bin/sh", "scripts/clean-host")
			if exitCode(err) != tt.code || !strings.Contains(out, tt.say) {
				t.Errorf("exit %d, want %d and %q:\n%s", exitCode(err), tt.code, tt.say, out)
			}
			calls, _ := os.ReadFile(log)
			if got := strings.TrimSpace(string(calls)); !strings.HasSuffix(got, tt.done) || (tt.done == "" && got != "") {
				t.Errorf("apt-get was called with %q, want %q", got, tt.done)
			}
		})
	}
}

// A demo that was killed has left its lab; the kernel, the caches and the records
// are of a machine that has run everything.
func TestCleanHostTakesAllThatTheDemoLeft(t *testing.T) {
	machine := []string{"sh", "sed", "sort", "comm", "rm", "rmdir", "dirname"}
	commands := map[string]string{"dpkg-query": "echo 'installed alpha'", "id": "echo 0", "apt-get": "exit 0"}
	lay := func(t *testing.T) (dev, lab string) {
		dev, lab = filepath.Join(t.TempDir(), "dev"), filepath.Join(t.TempDir(), "lab")
		for _, dir := range []string{"bin", "unpack", "apt/lists", "kernel/6.12.1/boot", "kernel/fetch"} {
			if err := os.MkdirAll(filepath.Join(dev, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for path, text := range map[string]string{"installed": "alpha\n", "accelerator.json": "{}", "kernel/lock": "", "bin/busybox": ""} {
			if err := os.WriteFile(filepath.Join(dev, path), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(lab, 0o755); err != nil {
			t.Fatal(err)
		}
		return dev, lab
	}
	clean := func(t *testing.T, dev, lab, program string) (string, error) {
		env := []string{
			"PATH=" + world(t, machine, commands), "NICFERRY_DEV_DIR=" + dev, "YES=1",
			"NICFERRY_LAB_DIRS=" + lab, "NICFERRY_LAB=" + program,
		}
		return run(t, env, "/bin/sh", "scripts/clean-host")
	}
	t.Run("all of it", func(t *testing.T) {
		dev, lab := lay(t)
		program := filepath.Join(world(t, nil, map[string]string{"lab": `[ "$1 $2" = "down --dir" ] && exec /bin/rmdir "$3"`}), "lab")
		for range 2 {
			if out, err := clean(t, dev, lab, program); err != nil {
				t.Fatalf("clean-host: %v\n%s", err, out)
			}
			for _, dir := range []string{dev, lab} {
				if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left: %v", dir, err)
				}
			}
		}
	})
	for name, tt := range map[string]struct{ program, say string }{
		"no program to take the lab down": {"/nowhere/nicferry-lab", "nicferry-lab down --dir"},
		"it does not go down":             {"/bin/false", "nothing else was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			dev, lab := lay(t)
			out, err := clean(t, dev, lab, tt.program)
			if exitCode(err) != 1 || !strings.Contains(out, tt.say) {
				t.Errorf("exit %d, want 1 and %q:\n%s", exitCode(err), tt.say, out)
			}
			if _, err := os.Stat(filepath.Join(dev, "installed")); err != nil {
				t.Errorf("the record is gone before the packages are: %v", err)
			}
		})
	}
}

func TestNeedGoNamesThisMachinesDownload(t *testing.T) {
	out, _ := run(t, []string{"GO=/nowhere/go"}, "scripts/need-go")
	if want := "linux-" + runtime.GOARCH + ".tar.gz"; !strings.Contains(out, want) {
		t.Errorf("does not name %s:\n%s", want, out)
	}
}
