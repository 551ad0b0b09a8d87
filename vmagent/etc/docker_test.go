//go:build linux

package etc

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/vmagent/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(labtest.Inside(m)) }

// A real container sees what is written, a restart takes it away (Docker writes
// both files anew, on the same inodes), and it is written again.
func TestDockerContainerSeesIt(t *testing.T) {
	t.Parallel()
	rig := labtest.Engine(t)
	docker := func(args ...string) string {
		t.Helper()
		out, err := rig.Docker(t.Context(), args...)
		must(t, err)
		return strings.TrimSpace(out)
	}
	engine, err := containers.Open(t.Context(), containers.Options{Socket: rig.Socket()})
	must(t, err)
	defer engine.Close()
	id := docker("run", "--detach", "--init", "--network=none", "--hostname=db", "--domainname=lab.example",
		"--add-host=other:192.0.2.7", "--read-only", lab.ImageName)
	look := func() (Files, string) {
		t.Helper()
		c, err := engine.Get(t.Context(), id)
		must(t, err)
		return Files{ResolvConf: c.ResolvConfPath, Hosts: c.HostsPath}, docker("exec", id, "cat", "/etc/hosts", "/etc/resolv.conf")
	}
	f, before := look()
	mustApply(t, f, full(), true)
	_, got := look()
	for _, line := range []string{"10.77.0.10\tdb.lab.example db", "192.0.2.7\tother", "nameserver fd77::1", "search lab.example example"} {
		if !strings.Contains("\n"+got+"\n", "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
	inode := stat(t, f.Hosts).Ino

	docker("restart", "--time=1", id)
	f, got = look()
	if got != before || stat(t, f.Hosts).Ino != inode {
		t.Errorf("after a restart, inode %d, want %d:\n%s", stat(t, f.Hosts).Ino, inode, got)
	}
	mustApply(t, f, full(), true)
	if got := docker("exec", id, "hostname", "-i"); got != "10.77.0.10" && got != "fd77::10" && got != "10.77.0.10 fd77::10" {
		t.Errorf("the container's own name is %q", got)
	}
	must(t, Remove(f))
	if _, got := look(); got != before {
		t.Errorf("removed:\n%s\nwant\n%s", got, before)
	}
	docker("rm", "--force", id)
	must(t, Remove(f)) // the container took its files along
}

// A container that writes its own files: it can spoil them for itself alone.
func TestDockerContainerSpoilsItsFiles(t *testing.T) {
	t.Parallel()
	rig := labtest.Engine(t)
	docker := func(args ...string) string {
		t.Helper()
		out, err := rig.Docker(t.Context(), args...)
		must(t, err)
		return strings.TrimSpace(out)
	}
	engine, err := containers.Open(t.Context(), containers.Options{Socket: rig.Socket()})
	must(t, err)
	defer engine.Close()
	c, err := engine.Get(t.Context(), docker("run", "--detach", "--init", "--network=none", lab.ImageName))
	must(t, err)
	f := Files{ResolvConf: c.ResolvConfPath, Hosts: c.HostsPath}
	inside := func(script string) { t.Helper(); docker("exec", c.ID, "sh", "-c", script) }

	inside(`printf '# nicferry: begin\nnameserver 6.6.6.6\n' >/etc/resolv.conf; >/etc/hosts`)
	mustApply(t, f, full(), true)
	mustApply(t, f, full(), false)
	if got := text(t, f.ResolvConf); !strings.HasPrefix(got, begin+"\nnameserver 10.77.0.1\n") || !strings.HasSuffix(got, off+"nameserver 6.6.6.6\n") {
		t.Errorf("resolv.conf:\n%s", got)
	}
	inside(`truncate -s 1G /etc/hosts; chmod 0 /etc/resolv.conf; chown 1:1 /etc/resolv.conf; echo options rotate >>/etc/resolv.conf`)
	if changed, err := Apply(f, full()); changed || err == nil || !strings.Contains(err.Error(), "more than 65536") {
		t.Errorf("got %t, %v; want it to be too large", changed, err)
	}
	if got := text(t, f.ResolvConf); !strings.HasSuffix(got, "\noptions rotate\n") {
		t.Errorf("the container's own line is gone:\n%s", got)
	}
	inside(`>/etc/hosts`)
	mustApply(t, f, full(), true)
}
