package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// all of the programs that checks look for, so that each check reads its files.
const programs = `
-- lib/systemd/systemd-networkd --
-- lib/systemd/libsystemd-shared-252.so --
-- usr/sbin/NetworkManager --
-- sbin/ifup --
-- sbin/dhcpcd --
-- usr/bin/cloud-init --
-- usr/bin/udevadm --
`

// read are files that checks read.
func read() []string {
	return []string{
		"etc/network/interfaces", "etc/systemd/network/10-a.network", "etc/NetworkManager/NetworkManager.conf",
		"etc/NetworkManager/conf.d/a.conf", "etc/dhcpcd.conf", "etc/cloud/cloud.cfg", "etc/udev/rules.d/10-a.rules",
		"etc/systemd/network/00-nicferry.network", "proc/net/route", "proc/net/ipv6_route", "proc/sys/kernel/osrelease",
		"proc/cmdline", "proc/5/cmdline", "proc/5/comm", "proc/mounts", "sys/bus/pci/slots/1/address", "etc/network/more/x",
		"etc/nicferry/agent.yaml", "etc/nicferry/nicferryd.yaml", "var/lib/nicferry/agent/identity.json", "var/lib/nicferry/agent/key.pem",
		"var/lib/nicferry/agent/cert.pem", "etc/passwd", "etc/group", "etc/resolv.conf", "etc/modprobe.d/a.conf", "lib/modules/6.1/modules.dep",
		"sys/bus/pci/devices/0000:01:00.0/sriov_totalvfs", "proc/net/tcp", "proc/sys/kernel/modprobe", "var/lib/nicferry/nicferry.db",
		"run/nicferry/nicferryd.sock",
	}
}

// Whatever lies where a file is looked for, the doctor says something and ends.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(t *testing.T, path string){
		"nothing":     func(*testing.T, string) {},
		"directories": func(t *testing.T, path string) { must(t, os.MkdirAll(path, 0o755)) },
		"pipes":       func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o644)) },
		"loops":       func(t *testing.T, path string) { must(t, os.Symlink(filepath.Base(path), path)) },
		"masked":      func(t *testing.T, path string) { must(t, os.Symlink("/dev/null", path)) },
		"endless":     func(t *testing.T, path string) { must(t, os.Symlink("/dev/zero", path)) },
		"huge":        func(t *testing.T, path string) { put(t, path, strings.Repeat("source /etc/network/*\n", 1<<12)) },
		"sources itself": func(t *testing.T, path string) {
			put(t, path, "source /etc/network/interfaces\nsource-directory more\nsource ../../../*\n")
		},
		"binary": func(t *testing.T, path string) { put(t, path, "\x00\xff\x1b[2J[\n=\n[Match\n\\\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, txtar.Parse([]byte(programs)))
			for _, file := range read() {
				path := filepath.Join(m.Root, file)
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				plant(t, path)
			}
			findings := Examine(t.Context(), m)
			if len(findings) < len(checks()) {
				t.Errorf("%d checks found only %d things", len(checks()), len(findings))
			}
			if _, err := json.Marshal(findings); err != nil {
				t.Error(err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzExamine puts a text into each file that is read.
func FuzzExamine(f *testing.F) {
	f.Add("[Match]\nName=!en* [\nProperty=NICFERRY=1\n[Link]\nUnmanaged=yes\n")
	f.Add("auto /eth*/1=x\nallow-hotplug [\nsource ../interfaces\n")
	f.Add("updates:\n  network:\n    when: ['hotplug', boot]\n")
	f.Add("SUBSYSTEM==\"net\", ATTR{address}==\"[\", NAME=\"x\"\\\n")
	f.Add("[device]\nmanaged=1\n[keyfile]\nunmanaged-devices=*;except:mac:0\n")
	f.Fuzz(func(t *testing.T, text string) {
		m := newMachine(t, txtar.Parse([]byte(programs)))
		for _, file := range read() {
			put(t, filepath.Join(m.Root, file), text)
		}
		for _, finding := range Examine(t.Context(), m) {
			if finding.Check == "" || finding.State == "" || finding.Says == "" {
				t.Errorf("a finding that says nothing: %+v", finding)
			}
		}
	})
}

func TestWorst(t *testing.T) {
	t.Parallel()
	for states, want := range map[string]State{"": OK, "OK": OK, "OK WARN OK": Warn, "WARN FAIL OK": Fail, "FAIL WARN": Fail} {
		var findings []Finding
		for _, s := range strings.Fields(states) {
			findings = append(findings, Finding{State: State(s)})
		}
		if got := Worst(findings); got != want {
			t.Errorf("%q: %s, want %s", states, got, want)
		}
	}
}

// What somebody wrote by hand into one of our files is told before it is
// overwritten, and kept by Undo.
func TestChangedDropIns(t *testing.T) {
	t.Parallel()
	m := newMachine(t, txtar.Parse([]byte(programs)))
	if _, err := Mend(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(m.Root, rulesFile), "# mine\n")
	if text := render(Examine(t.Context(), m)); !strings.Contains(text, "not as this version has it: /"+rulesFile) {
		t.Errorf("the change is not told:\n%s", text)
	}
	did, err := Undo(t.Context(), m)
	if err != nil || len(did) != 4 || !tree(m.Root).exists(rulesFile) || tree(m.Root).exists(linkFile) {
		t.Errorf("undo: %q, %v; want three files gone and one left", did, err)
	}
}
