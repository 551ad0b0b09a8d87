package doctor

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// What --fix does beside the drop-ins, twice, and what --undo takes back of it.
func TestFixes(t *testing.T) {
	t.Parallel()
	p := newPatient(t, nil)
	p.put("proc/sys/kernel/modprobe", "\n") // nobody loads
	p.put("etc/group", "")
	p.put("etc/nicferry/nicferryd.yaml", strings.Replace(p.text("etc/nicferry/nicferryd.yaml"), "version: 1", "version: 1\nstore: /var/lib/nf2/store.db", 1))
	p.chmod("etc/nicferry/tls/agent.key", 0o644)
	p.chmod("etc/nicferry/agent.yaml", 0o666)
	must(t, os.MkdirAll(p.path("var/lib"), 0o755))
	var ran []string
	p.Run = func(_ context.Context, name string, args ...string) ([]byte, error) {
		line := strings.Join(append([]string{name}, args...), " ")
		if ran = append(ran, line); strings.HasPrefix(line, "groupadd") {
			p.put("etc/group", "nicferry:x:77:\n")
		}
		return nil, nil
	}
	did, err := Mend(t.Context(), p.Machine)
	must(t, err)
	for _, want := range []string{
		"wrote /etc/modules-load.d/nicferry.conf", "ran modprobe macvlan", "ran chmod 0644 /etc/nicferry/agent.yaml, which was 0666",
		"ran chmod 0640 /etc/nicferry/tls/agent.key, which was 0644", "ran groupadd --system nicferry", "made /var/lib/nf2",
	} {
		if !slices.Contains(did, want) {
			t.Errorf("not done: %q; did:\n%s", want, strings.Join(did, "\n"))
		}
	}
	if text := p.text("etc/modules-load.d/nicferry.conf"); !strings.Contains(text, "\nmacvlan\n") || strings.Contains(text, "vfio") {
		t.Errorf("to load at boot: %q", text)
	}
	info, err := os.Stat(p.path("var/lib/nf2"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the store's directory: %v, %v", info, err)
	}
	text := render(Examine(t.Context(), p.Machine))
	if strings.Contains(text, "FAIL permissions") || strings.Contains(text, "WARN socket: no group") || strings.Contains(text, "WARN store: /var") {
		t.Errorf("after --fix:\n%s", text)
	}
	before := slices.Clone(ran)
	if did, err := Mend(t.Context(), p.Machine); err != nil || slices.ContainsFunc(did, func(s string) bool { return !strings.HasPrefix(s, "ran modprobe") }) {
		t.Errorf("mended twice: %q, %v; want nothing but modprobe, which this kernel forgets", did, err)
	}
	ran = before
	did, err = Undo(t.Context(), p.Machine)
	must(t, err)
	all := strings.Join(did, "\n")
	for _, want := range []string{"removed /etc/modules-load.d/nicferry.conf", "removed /var/lib/nf2", "left the mode of /etc/nicferry/tls/agent.key, which was 0644"} {
		if !strings.Contains(all, want) {
			t.Errorf("undo did not say %q:\n%s", want, all)
		}
	}
	if !slices.Contains(ran, "groupdel -- nicferry") || tree(p.Root).exists(journalFile) || tree(p.Root).exists("var/lib/nf2") || tree(p.Root).exists(modulesFile) {
		t.Errorf("undo left something; ran %q", ran)
	}
	if did, err := Undo(t.Context(), p.Machine); err != nil || len(did) != 0 {
		t.Errorf("undone twice: %q, %v", did, err)
	}
}

// What --fix cannot do it says, and keeps out of its journal.
func TestFixesThatFail(t *testing.T) {
	t.Parallel()
	p := newPatient(t, nil)
	p.put("etc/group", "")
	p.put("etc/modules-load.d/nicferry.conf", "mine\n")
	p.put("proc/sys/kernel/modprobe", "\n")
	boom := errors.New("boom")
	p.Run = func(context.Context, string, ...string) ([]byte, error) { return nil, boom }
	did, err := Mend(t.Context(), p.Machine)
	if !errors.Is(err, boom) || !slices.Contains(did, "left /etc/modules-load.d/nicferry.conf, which somebody else wrote") {
		t.Errorf("%q, %v", did, err)
	}
	if all := tree(p.Root).journal(); len(all) != 0 {
		t.Errorf("in the journal, and not done: %+v", all)
	}
	if _, err := Undo(t.Context(), p.Machine); err != nil || p.text("etc/modules-load.d/nicferry.conf") != "mine\n" {
		t.Errorf("undo: %v; want the file of somebody else left", err)
	}
}

// A journal that somebody else wrote makes Undo remove nothing that has
// something in it, and no file.
func TestUndoOfAHostileJournal(t *testing.T) {
	t.Parallel()
	p := newPatient(t, nil)
	p.put(journalFile, `[{"dir":"/etc/nicferry"},{"dir":"/etc/passwd"},{"dir":"../../etc/group"},{},{"mode":"/etc/passwd","was":"0777"}]`)
	if _, err := Undo(t.Context(), p.Machine); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etc/nicferry/agent.yaml", "etc/passwd", "etc/group"} {
		if !tree(p.Root).exists(name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// --fix follows no link: what it leads to may be anybody's.
func TestFixFollowsNoLink(t *testing.T) {
	t.Parallel()
	p := newPatient(t, nil)
	p.put("etc/shadow", "x")
	p.chmod("etc/shadow", 0o666)
	p.remove("etc/nicferry/agent.yaml")
	must(t, os.Symlink("../shadow", p.path("etc/nicferry/agent.yaml")))
	did, _ := Mend(t.Context(), p.Machine)
	if info, err := os.Stat(p.path("etc/shadow")); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("changed what the link leads to: %v, %v; did %q", info.Mode(), err, did)
	}
}

func TestApart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		n    int
		ok   bool
	}{
		{"v1.4.0", "v1.4.9", 0, true},
		{"v1.4.0", "v1.5.0-rc1", 1, true},
		{"v1.6.0", "v1.4.0", 2, true},
		{"v1.4.0", "v2.0.0", 1000, true},
		{"devel", "v1.4.0", 0, false},
		{"", "", 0, false},
		{"v1", "v1.4", 0, false},
	} {
		if n, ok := apart(c.a, c.b); n != c.n || ok != c.ok {
			t.Errorf("%q and %q: %d, %t", c.a, c.b, n, ok)
		}
	}
}
