//go:build linux

package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
)

// The packages as somebody uses them: installed on a Debian with systemd and
// Docker, upgraded, removed and installed again while containers talk, and purged.
func TestPackagesInstallUseUpgradePurge(t *testing.T) {
	first, second := pack(t)
	m := newMachine(t)
	m.image()
	links := m.links()
	one, two := m.bring(first), m.bring(second)

	m.install(one, all...)
	m.configsAreGood()
	m.directoriesAreTheirs()
	s := &scene{machine: m, cards: map[string]card{}}
	for _, name := range []string{"web", "peer"} {
		s.cards[name] = m.container(name)
	}
	m.letPass()
	s.under("the upgrade", func() {
		was := m.processes()
		m.install(two, all...)
		for unit, pid := range m.processes() {
			if pid == was[unit] {
				t.Errorf("%s is the process of the older version", unit)
			}
		}
	})
	if got := m.run("dpkg-query", "-W", "-f", "${Version} ", all[0], all[1], all[2]); got != strings.TrimSpace(strings.Repeat(newer+" ", 3)) {
		t.Errorf("after the upgrade there are versions %s", got)
	}
	m.doctorIsContent()
	s.under("the agent's removal", func() { m.run("dpkg", "--remove", "nicferry-agent") })
	s.under("the controller's removal", func() { m.run("dpkg", "--remove", "nicferry-controller") })
	for _, path := range []string{"/var/lib/nicferry/nicferry.db", "/etc/nicferry/nicferryd.yaml", "/etc/nicferry/agent.yaml"} {
		if _, err := os.Stat(m.path(path)); err != nil {
			t.Errorf("removing the packages removed %s: %v", path, err)
		}
	}
	s.under("the packages' return", func() {
		m.install(two, "nicferry-agent")
		m.install(two, "nicferry-controller", "nicferry")
	})
	m.directoriesAreTheirs()
	s.cards["third"] = m.container("third")

	m.refusesToPurge(two, "web", "peer", "third")
	m.run("docker", "rm", "--force", "web", "peer", "third")
	m.until("the NICs to go", func(context.Context) error {
		nics, now := list[nic.NIC](m, "nics"), m.links()
		if len(nics) > 0 || now != links {
			return fmt.Errorf("there are %+v, and the machine's links are %s", nics, now)
		}
		return nil
	})
	m.purges(two)
	if now := m.links(); now != links {
		t.Errorf("the machine's links are %s, and were %s", now, links)
	}
}

// A scene is containers that talk.
type scene struct {
	*machine
	cards map[string]card
}

// under does something while one container pings another: nothing is lost, and
// both keep their cards.
func (s *scene) under(what string, do func()) {
	s.t.Helper()
	stop := s.pinger("peer", s.cards["web"].Addr)
	do()
	r := stop()
	s.t.Logf("under %s: %s", what, r)
	if r.Sent == 0 || r.Lost > 0 {
		s.t.Errorf("under %s: %s; want none lost", what, r)
	}
	for name, was := range s.cards {
		if now := s.eth0(name); now != was {
			s.t.Errorf("after %s %s has %+v, and had %+v", what, name, now, was)
		}
	}
}

// processes are the daemons' process ids by their units.
func (m *machine) processes() map[string]string {
	m.t.Helper()
	pids := map[string]string{}
	for _, unit := range units {
		pids[unit] = m.run("systemctl", "show", "--property=MainPID", "--value", unit)
		// The file of a process that outlived an upgrade is gone.
		if exe := m.run("readlink", "/proc/"+pids[unit]+"/exe"); !strings.HasPrefix(exe, "/usr/bin/nicferry") || strings.Contains(exe, "deleted") {
			m.t.Errorf("%s runs %s", unit, exe)
		}
	}
	return pids
}

// directoriesAreTheirs holds that each daemon has a directory that the other has
// not, whichever started first.
func (m *machine) directoriesAreTheirs() {
	m.t.Helper()
	for path, want := range map[string]string{
		"/var/lib/nicferry": "nicferry 711", "/var/lib/nicferry/nicferry.db": "nicferry 600",
		"/var/lib/nicferry/agent": "root 700", "/run/nicferry/agent": "root 700", "/run/nicferry": "root 1775",
	} {
		if got := m.run("stat", "--format=%U %a", path); got != want {
			m.t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// configsAreGood holds what was installed against itself.
func (m *machine) configsAreGood() {
	m.t.Helper()
	m.run("nicferry", "config", "check", "/etc/nicferry/nicferryd.yaml")
	m.run("nicferry", "config", "check", "--agent", "/etc/nicferry/agent.yaml")
	m.run("nicferry", "config", "check", "/usr/share/doc/nicferry-controller/examples/nicferryd.yaml")
	m.run("nicferry", "config", "check", "--agent", "/usr/share/doc/nicferry-agent/examples/agent.yaml")
	m.run("bash", "-c", ". /usr/share/bash-completion/completions/nicferry && complete -p nicferry")
	m.run("gzip", "-t", "/usr/share/man/man1/nicferry.1.gz", "/usr/share/man/man8/nicferryd.8.gz", "/usr/share/man/man8/nicferry-agent.8.gz")
	for _, unit := range units {
		if out := m.run("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/"+unit); out != "" {
			m.t.Errorf("systemd says of %s: %s", unit, out)
		}
	}
	if _, err := os.Stat(m.path("/etc/udev/rules.d/70-nicferry.rules")); !errors.Is(err, fs.ErrNotExist) {
		m.t.Errorf("a package wrote udev's rules without being asked: %v", err)
	}
}

// letPass does what nicferry doctor says where Docker's firewall drops what
// passes nicferry's bridge.
func (m *machine) letPass() {
	m.t.Helper()
	out, _ := m.try("nicferry", "doctor")
	rule := regexp.MustCompile(`(?m)→ (iptables .*)$`).FindStringSubmatch(out)
	if seen, err := m.try("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables"); (err == nil && seen == "1") != (rule != nil) {
		m.t.Errorf("bridge-nf-call-iptables is %q, %v, and nicferry doctor says\n%s", seen, err, out)
	}
	if rule != nil {
		m.run("sh", "-c", rule[1])
	}
}

// doctorIsContent holds that nicferry doctor misses nothing but the drop-ins,
// which no package brings unasked and it writes, and a disk: this machine has none.
// Without a hot-plug slot, as among namespaces, the drop-ins are no more than a
// warning.
func (m *machine) doctorIsContent() {
	m.t.Helper()
	out, err := m.try("nicferry", "doctor")
	want := []string{"store"}
	if !strings.Contains(out, "no hot-plug slot") {
		want = []string{"drop-ins", "store"}
	}
	if failed := failures(out); !slices.Equal(failed, want) || !regexp.MustCompile(`(?m)^(WARN|FAIL) +drop-ins +not there`).MatchString(out) {
		m.t.Errorf("nicferry doctor: %v, want it to miss the drop-ins and a disk alone:\n%s", err, out)
	}
	out, err = m.try("nicferry", "doctor", "--fix")
	if failed := failures(out); !slices.Equal(failed, []string{"store"}) {
		m.t.Errorf("nicferry doctor --fix: %v, want it to miss a disk alone:\n%s", err, out)
	}
}

// failures are the checks that fail.
func failures(doctor string) []string {
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^FAIL +(\S+)`).FindAllStringSubmatch(doctor, -1) {
		names = append(names, match[1])
	}
	return names
}

// refusesToPurge holds that nothing is purged that containers need.
func (m *machine) refusesToPurge(r release, containers ...string) {
	m.t.Helper()
	out, err := m.try("env", "NICFERRY_PURGE=yes", "dpkg", "--purge", "nicferry-agent")
	if err == nil {
		m.t.Errorf("the agent was purged while containers have NICs: %s", out)
	}
	for _, name := range containers {
		if !strings.Contains(out, "\n  "+name+"\n") {
			m.t.Errorf("who purges is not told that %s has a NIC: %s", name, out)
		}
	}
	m.install(r, "nicferry-controller", "nicferry-agent")
}

// purges purges as nobody, as somebody who says no, and as somebody who says yes.
func (m *machine) purges(r release) {
	m.t.Helper()
	const store = "/var/lib/nicferry/nicferry.db"
	out := m.run("dpkg", "--purge", "nicferry-agent", "nicferry-controller")
	if _, err := os.Stat(m.path(store)); err != nil || !strings.Contains(out, "NICFERRY_PURGE=yes") {
		m.t.Errorf("purged without asking: %v: %s", err, out)
	}
	m.run("id", "nicferry")
	m.install(r, "nicferry-controller", "nicferry-agent")
	out = m.answer("n", "dpkg --purge nicferry-controller")
	if _, err := os.Stat(m.path(store)); err != nil || !strings.Contains(out, "[y/N]") {
		m.t.Errorf("purged against the answer: %v: %s", err, out)
	}
	m.install(r, "nicferry-controller")
	out = m.answer("y", "dpkg --purge nicferry-agent nicferry-controller nicferry")
	if strings.Count(out, "[y/N]") != 2 {
		m.t.Errorf("want two questions: %s", out)
	}
	if out, err := m.try("getent", "group", "nicferry"); err == nil {
		m.t.Errorf("the group is left: %s", out)
	}
	if out, err := m.try("getent", "passwd", "nicferry"); err == nil {
		m.t.Errorf("the user is left: %s", out)
	}
	left := m.run("find", "/etc", "/usr/bin", "/usr/lib", "/usr/share", "/var/lib", "/run", "-xdev", "-name", "*nicferry*", "-not", "-path", "/var/lib/docker/*")
	if left != "" {
		m.t.Errorf("purging left\n%s", left)
	}
}

// answer runs a command on a terminal and types lines.
func (m *machine) answer(line, command string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	cmd := m.command(ctx, "script", "--quiet", "--return", "--command", command, "/dev/null")
	cmd.Stdin = strings.NewReader(strings.Repeat(line+"\n", 2))
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Errorf("%s: %v: %s", command, err, out)
	}
	return string(out)
}
