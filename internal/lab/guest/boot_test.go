//go:build linux

package guest_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/pid1"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// In a guest this test's own program is the first service.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == protocol.Argument {
		_ = pid1.Main()
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// machine is a QEMU in a node without an engine, with its NIC on the wire of
// the node.
type machine struct {
	node    *lab.Node
	process *lab.Process
	console string
	client  *guest.Client
}

func (m *machine) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(m.console)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (m *machine) monitor() string { return filepath.Join(m.node.Dir(), "qmp") }

func boot(ctx context.Context, t *testing.T) *machine {
	t.Helper()
	netnstest.RequireRoot(t)
	node, err := lab.Start(ctx, lab.Options{NoEngine: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []string{
		"ip tuntap add tap0 mode tap", "ip addr add 10.99.0.1/24 dev tap0", "ip link set tap0 up",
	} {
		args := strings.Fields(step)
		if _, err := node.Run(ctx, args[0], args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	image, err := guest.Prepare(ctx, node.Dir(), guest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mac, err := net.ParseMAC("52:54:00:00:00:01")
	if err != nil {
		t.Fatal(err)
	}
	cmdline, err := image.Cmdline(protocol.Boot{
		Hostname: "vm1", MAC: mac, Addr: netip.MustParsePrefix("10.99.0.2/24"), Docker: protocol.DockerOn,
		Modules: []string{"8021q", "vfio-pci"},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{node: node, console: filepath.Join(node.Dir(), "console.log")}
	args := []string{
		"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-smp", "1",
		"-kernel", image.Vmlinuz, "-initrd", image.Initrd, "-append", cmdline, "-serial", "file:" + m.console,
		"-qmp", "unix:" + m.monitor() + ",server=on,wait=off",
		"-netdev", "tap,id=mgmt,ifname=tap0,script=no,downscript=no",
		"-device", "virtio-net-pci,netdev=mgmt,romfile=,mac=" + mac.String(),
	}
	for _, e := range image.Exports {
		args = append(args, "-fsdev", "local,security_model=none,readonly=on,multidevs=remap,id="+e.Tag+",path="+e.Path,
			"-device", "virtio-9p-pci,fsdev="+e.Tag+",mount_tag="+e.Tag)
	}
	if m.process, err = node.Spawn(lab.Program{Name: "qemu", Args: args}); err != nil {
		t.Fatal(err)
	}
	ns, err := netns.Open(node.NetNS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	m.client = &guest.Client{Addr: netip.MustParseAddr("10.99.0.2"), Dial: guest.DialIn(ns)}
	return m
}

// One guest for all, because a boot is dear here.
func TestGuest(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	m := boot(ctx, t)
	start := time.Now()
	if err := m.client.AwaitUp(ctx); err != nil {
		t.Fatal(err, m.log(t))
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
	out, err := m.client.Command(t.Context(), "sh", "-ec", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
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
		if got, err := m.client.Get(t.Context(), name); err != nil || len(got) > 0 && string(got) == string(host) {
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
	err := m.client.Command(t.Context(), "touch", "/.guest"+file).Run()
	if err == nil {
		t.Error("the host's /usr can be written to")
	}
	// Nor after the guest's root has made its own mount writable.
	err = m.client.Command(t.Context(), "sh", "-c", "mount -o remount,rw /.guest/usr && touch /.guest"+file).Run()
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
	dockerd, err := m.client.AwaitDocker(t.Context())
	if err != nil {
		t.Fatal(err, m.log(t))
	}
	start := time.Now()
	image, err := m.client.Image(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made := time.Now()
	out, err := m.client.Command(t.Context(), "docker", "run", "--rm", image, "ip", "-o", "-4", "addr", "show", "eth0").Output()
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
	conn, err := new(net.Dialer).DialContext(ctx, "unix", m.monitor())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, `{"execute": "qmp_capabilities"} {"execute": "system_powerdown"}`); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := m.process.Wait(ctx); err != nil {
		t.Fatal(err, m.log(t))
	}
	t.Logf("off after %s", time.Since(start))
	if err := m.client.Command(t.Context(), "true").Run(); err == nil {
		t.Error("a guest that is off answers")
	}
}
