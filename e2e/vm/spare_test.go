//go:build linux

package vm

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/nicferry/nicferry/internal/lab/accel"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// A spare is a small guest of one test, with neither engine nor agent, that may
// be broken. Some tests break it before its kernel runs.
type spare struct {
	r      *rig
	name   string
	client *guest.Client
}

const sparePorts = 4

// spare defines a spare, which is off. It goes with the test.
func (r *rig) spare(name string, mode virt.HotplugMode) *spare {
	r.t.Helper()
	return r.spareOf(name, mode, 384)
}

// spareOf is spare with that much memory, in MiB, and trees of the host.
func (r *rig) spareOf(name string, mode virt.HotplugMode, memory int, exports ...guest.Export) *spare {
	r.t.Helper()
	ctx := r.t.Context()
	// Found, so that the test's own program is the guest's first one.
	image, err := guest.Prepare(ctx, filepath.Join(r.Host().Lib(), "spare"), guest.Options{Exports: exports})
	r.must(err)
	kind, err := accel.Choose(ctx, accel.Options{Dir: guest.DefaultDir, Kernel: image.Kernel})
	r.must(err)
	addr := netip.MustParsePrefix("10.98.0.250/24")
	text, err := guest.Domain{
		Image: image,
		Boot:  protocol.Boot{Hostname: name, MAC: net.HardwareAddr{0x52, 0x54, 0, 0x98, 0, 0xfa}, Addr: addr},
		Type:  kind.DomainType(), CPUMode: kind.CPUMode(), MemoryMiB: memory, CPUs: 1, Ports: sparePorts,
		Bridge: cluster.ManagementBridge, Console: filepath.Join(r.Host().Dir(), "log", name+".console.log"),
	}.XML()
	r.must(err)
	if mode == virt.Native {
		text = natively(text)
	}
	d, err := r.Virt().Define(ctx, text)
	r.must(err)
	if d.Hotplug != mode {
		r.t.Errorf("%s plugs by %s; want %s", name, d.Hotplug, mode)
	}
	ns, err := netns.Open(r.Host().NetNS())
	r.must(err)
	r.t.Cleanup(func() {
		ctx := context.WithoutCancel(r.t.Context())
		for _, err := range []error{r.Virt().Destroy(ctx, name), r.Virt().Undefine(ctx, name), ns.Close()} {
			if err != nil {
				r.t.Error(err)
			}
		}
	})
	return &spare{r, name, &guest.Client{Addr: addr.Addr(), Dial: guest.DialIn(ns)}}
}

// natively takes hot-plug by ACPI from a definition.
func natively(definition string) string {
	const xmlns = " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
	const args = "<qemu:commandline><qemu:arg value='-global'/>" +
		"<qemu:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/></qemu:commandline>"
	definition = strings.Replace(definition, "<domain ", "<domain"+xmlns+" ", 1)
	return strings.Replace(definition, "</domain>", args+"</domain>", 1)
}

func (s *spare) start() {
	s.r.t.Helper()
	s.r.must(s.r.Virt().Start(s.r.t.Context(), s.name))
}

// boot starts the spare and waits until its kernel and its first program run.
func (s *spare) boot() {
	s.r.t.Helper()
	s.start()
	ctx, cancel := context.WithTimeout(s.r.t.Context(), bootTime)
	defer cancel()
	if err := s.client.AwaitUp(ctx); err != nil {
		s.r.t.Fatal(fmt.Errorf("boot %s: %w", s.name, err))
	}
}

// sees waits until the guest has a link with the MAC.
func (s *spare) sees(mac nic.MAC) {
	s.r.t.Helper()
	s.r.until(s.name+" to see the card", patience, func(ctx context.Context) error {
		out, err := s.client.Command(ctx, "sh", "-c", "cat /sys/class/net/*/address").Output()
		if err == nil && !strings.Contains(string(out), mac.String()) {
			err = fmt.Errorf("its links are %q", out)
		}
		return err
	})
}
