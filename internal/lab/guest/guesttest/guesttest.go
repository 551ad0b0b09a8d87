//go:build linux

// Package guesttest boots a guest of QEMU alone for a test, without libvirt and
// without programs of ours in it.
package guesttest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/pid1"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// Main is a TestMain of tests that boot guests: in a guest, where the tests' own
// program is the first service, it is that, and elsewhere it runs the tests and then
// looks for goroutines that were left.
func Main(m goleak.TestingM, opts ...goleak.Option) {
	if len(os.Args) == 2 && os.Args[1] == protocol.Argument {
		_ = pid1.Main() // which has said why it ended
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, opts...)
}

// Options say what guest to boot.
type Options struct {
	// Boot is what it is told. Required: Hostname. MAC and Addr are made up.
	Boot protocol.Boot
	// MemoryMiB is its memory. Required; see guest.MinMemoryMiB.
	MemoryMiB int
	// Exports are trees of the host that it mounts. Optional.
	Exports []guest.Export
	// Args are further arguments of QEMU, whose slot 10.0 is taken. Optional.
	Args []string
}

// A Machine is a guest, in the hands of a test, on a wire to the network namespace of
// a lab node that has nothing else.
type Machine struct {
	*guest.Client

	Node    *lab.Node
	Process *lab.Process // QEMU
	Console string       // the file that takes what the guest says
}

// The two ends of the guest's management wire.
const (
	hostAddr  = "10.99.0.1/24"
	guestAddr = "10.99.0.2/24"
)

// Boot starts a guest, which goes with the test. It does not wait for it: see
// guest.Client.AwaitUp.
func Boot(ctx context.Context, t testing.TB, opts Options) *Machine {
	t.Helper()
	netnstest.RequireRoot(t)
	node, err := lab.Start(ctx, lab.Options{NoEngine: true})
	must(t, err)
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []string{"ip tuntap add tap0 mode tap", "ip addr add " + hostAddr + " dev tap0", "ip link set tap0 up"} {
		args := strings.Fields(step)
		_, err := node.Run(ctx, args[0], args[1:]...)
		must(t, err)
	}
	image, err := guest.Prepare(ctx, node.Dir(), guest.Options{Exports: opts.Exports})
	must(t, err)
	opts.Boot.MAC = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	opts.Boot.Addr = netip.MustParsePrefix(guestAddr)
	m := &Machine{Node: node, Console: filepath.Join(node.Dir(), "console.log")}
	args, err := opts.qemu(image, m.Console)
	must(t, err)
	m.Process, err = node.Spawn(lab.Program{Name: "qemu", Args: args})
	must(t, err)
	ns, err := netns.Open(node.NetNS())
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	m.Client = &guest.Client{Addr: opts.Boot.Addr.Addr(), Dial: guest.DialIn(ns)}
	return m
}

// qemu is the guest's command.
func (o Options) qemu(image *guest.Image, console string) ([]string, error) {
	cmdline, err := image.Cmdline(o.Boot)
	if err != nil {
		return nil, err
	}
	args := []string{
		"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", fmt.Sprint(o.MemoryMiB), "-smp", "1",
		"-kernel", image.Vmlinuz, "-initrd", image.Initrd, "-append", cmdline, "-serial", "file:" + console,
	}
	args = append(args, o.Args...) // before all devices, as an IOMMU has to be
	args = append(args,
		"-netdev", "tap,id=mgmt,ifname=tap0,script=no,downscript=no",
		"-device", "virtio-net-pci,netdev=mgmt,romfile=,addr=10.0,mac="+o.Boot.MAC.String())
	for _, e := range image.Exports {
		args = append(args, "-fsdev", "local,security_model=none,readonly=on,multidevs=remap,id="+e.Tag+",path="+e.Path,
			"-device", "virtio-9p-pci,fsdev="+e.Tag+",mount_tag="+e.Tag)
	}
	return args, nil
}

// Said is what the guest has written to its console, to explain an error.
func (m *Machine) Said(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(m.Console)
	must(t, err)
	return string(text)
}

// Sh runs a script in the guest and returns what it prints, without the last line's
// end.
func Sh(t testing.TB, guest *guest.Client, format string, args ...any) string {
	t.Helper()
	out, err := guest.Command(t.Context(), "sh", "-ec", fmt.Sprintf(format, args...)).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

// WantDomain wants that libvirt's schema knows the definition of a domain.
func WantDomain(t testing.TB, xml string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "domain.xml")
	must(t, os.WriteFile(file, []byte(xml), 0o600))
	if out, err := exec.Command("virt-xml-validate", file, "domain").CombinedOutput(); err != nil {
		t.Errorf("libvirt's schema refuses it: %v\n%s\n%s", err, out, xml)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
