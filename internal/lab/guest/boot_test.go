//go:build linux

package guest_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/guest/guesttest"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

func TestMain(m *testing.M) { guesttest.Main(m) }

// machine is a guest with an engine, whose button can be pressed.
type machine struct {
	*guesttest.Machine
	monitor string
}

func boot(ctx context.Context, t *testing.T) *machine {
	t.Helper()
	monitor := filepath.Join(t.TempDir(), "qmp")
	return &machine{monitor: monitor, Machine: guesttest.Boot(ctx, t, guesttest.Options{
		Boot:      protocol.Boot{Hostname: "vm1", Docker: protocol.DockerOn, Modules: []string{"8021q", "vfio-pci"}},
		MemoryMiB: 1024,
		Args:      []string{"-qmp", "unix:" + monitor + ",server=on,wait=off"},
	})}
}

// One guest for all, because a boot is dear here.
func TestGuest(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	m := boot(ctx, t)
	start := time.Now()
	if err := m.AwaitUp(ctx); err != nil {
		t.Fatal(err, m.Said(t))
	}
	t.Logf("commands are served %s after QEMU's start", time.Since(start))

	t.Run("sees nothing of the host but its programs", m.seesOnlyPrograms)
	t.Run("cannot write to the host", m.cannotWrite)
	t.Run("has its names", m.hasNames)
	t.Run("has its modules", m.hasModules)
	t.Run("reaps orphans", m.reapsOrphans)
	t.Run("runs containers", m.runsContainers)
	t.Run("is turned off by its button", m.isTurnedOff)
}

func (m *machine) sh(t *testing.T, script string) string {
	t.Helper()
	return guesttest.Sh(t, m.Client, "%s", script)
}

func (m *machine) seesOnlyPrograms(t *testing.T) {
	if got := m.sh(t, "find /root /home /srv /opt /mnt -mindepth 1; ls /etc/shadow /etc/ssh /etc/docker 2>/dev/null || true"); got != "" {
		t.Errorf("the guest has %s", got)
	}
	// All that comes from the host, and where.
	want := "modules /usr/lib/modules\nusr /.guest/usr"
	if got := m.sh(t, "awk '$3 == \"9p\" {print $1, $2}' /proc/mounts | sort"); got != want {
		t.Errorf("trees of the host:\n%s\nwant:\n%s", got, want)
	}
	for _, name := range []string{"/etc/passwd", "/etc/hostname", "/etc/machine-id"} {
		host, err := os.ReadFile(name)
		if err != nil {
			continue // nothing to see
		}
		if got, err := m.Get(t.Context(), name); err != nil || len(got) > 0 && string(got) == string(host) {
			t.Errorf("%s is the host's, %v", name, err)
		}
	}
}

func (m *machine) cannotWrite(t *testing.T) {
	const file = "/usr/lib/nicferry-guest-test"
	m.sh(t, "touch "+file) // on the overlay
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("%s is on the host: %v", file, err)
	}
	err := m.Command(t.Context(), "touch", "/.guest"+file).Run()
	if err == nil {
		t.Error("the host's /usr can be written to")
	}
	// Nor after the guest's root has made its own mount writable.
	err = m.Command(t.Context(), "sh", "-c", "mount -o remount,rw /.guest/usr && touch /.guest"+file).Run()
	if _, statErr := os.Stat(file); err == nil || !os.IsNotExist(statErr) {
		t.Errorf("the host's /usr can be written to: %v, %v", err, statErr)
	}
}

func (m *machine) hasNames(t *testing.T) {
	want := "vm1\nlo 127.0.0.1/8\neth0 10.99.0.2/24"
	if got := m.sh(t, "hostname; ip -o -4 addr | awk '$2 != \"docker0\" {print $2, $4}'"); got != want {
		t.Errorf("the guest is\n%s\nwant\n%s", got, want)
	}
}

func (m *machine) hasModules(t *testing.T) {
	for _, name := range []string{"virtio_net", "e1000e", "8021q", "vfio_pci"} {
		m.sh(t, "test -d /sys/module/"+name)
	}
}

func (m *machine) reapsOrphans(t *testing.T) {
	m.sh(t, "for i in 1 2 3 4 5; do (sleep 0 &); done; timeout 60 sh -c 'while ps -eo stat | grep -q ^Z; do :; done'")
}

func (m *machine) runsContainers(t *testing.T) {
	dockerd, err := m.AwaitDocker(t.Context())
	if err != nil {
		t.Fatal(err, m.Said(t))
	}
	start := time.Now()
	image, err := m.Image(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made := time.Now()
	out, err := m.Command(t.Context(), "docker", "run", "--rm", image, "ip", "-o", "-4", "addr", "show", "eth0").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "172.17.0.2/16") {
		t.Errorf("the container has %q", out)
	}
	t.Logf("dockerd answered %s after the kernel's start; image in %s, docker run in %s; %s MiB used",
		dockerd, made.Sub(start), time.Since(made), m.sh(t, "free -m | awk '/Mem/ {print $3 + $5}'"))
}

func (m *machine) isTurnedOff(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", m.monitor)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, `{"execute": "qmp_capabilities"} {"execute": "system_powerdown"}`); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := m.Process.Wait(ctx); err != nil {
		t.Fatal(err, m.Said(t))
	}
	t.Logf("off after %s", time.Since(start))
	if err := m.Command(t.Context(), "true").Run(); err == nil {
		t.Error("a guest that is off answers")
	}
}
