//go:build linux

package guest_test

import (
	"context"
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
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{node: node, console: filepath.Join(node.Dir(), "console.log")}
	args := []string{
		"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-smp", "2",
		"-kernel", image.Vmlinuz, "-initrd", image.Initrd, "-append", cmdline, "-serial", "file:" + m.console,
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

func TestGuest(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	start := time.Now()
	m := boot(ctx, t)
	prepared := time.Since(start)
	if err := m.client.AwaitUp(ctx); err != nil {
		t.Fatal(err, m.log(t))
	}
	up := time.Since(start) - prepared
	dockerd, err := m.client.AwaitDocker(ctx)
	if err != nil {
		t.Fatal(err, m.log(t))
	}
	imageStart := time.Now()
	image, err := m.client.Image(ctx)
	if err != nil {
		t.Fatal(err)
	}
	runStart := time.Now()
	out, err := m.client.Command(ctx, "docker", "run", "--rm", image, "cat", "/proc/version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "6.12") {
		t.Errorf("the container runs on %q", out)
	}
	t.Logf("prepared in %s, commands served %s after QEMU's start, dockerd at %s of uptime, image in %s, docker run in %s",
		prepared, up, dockerd, runStart.Sub(imageStart), time.Since(runStart))
}
