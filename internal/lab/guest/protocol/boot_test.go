package protocol_test

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

func sample() protocol.Boot {
	return protocol.Boot{
		Hostname:   "vm1",
		MAC:        net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1},
		Addr:       netip.MustParsePrefix("10.99.0.2/24"),
		Gateway:    netip.MustParseAddr("10.99.0.1"),
		Modules:    []string{"igb", "vfio-pci"},
		Docker:     protocol.DockerLiveRestore,
		DockerDisk: "docker",
		Mounts:     []protocol.Mount{{Tag: "bin", Path: "/opt/nicferry"}, {Tag: "out", Path: "/out", Writable: true}},
	}
}

func TestCmdlineIsReadAsItWasWritten(t *testing.T) {
	least := protocol.Boot{Hostname: "a", MAC: sample().MAC, Addr: sample().Addr, Docker: protocol.DockerOff}
	for _, want := range []protocol.Boot{sample(), least} {
		line, err := want.Cmdline()
		if err != nil {
			t.Fatal(err)
		}
		got, err := protocol.ParseCmdline("BOOT_IMAGE=x ro " + line + "\n")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, %v; want %+v from %s", got, err, want, line)
		}
	}
}

func TestCmdlineCarriesWordsForTheKernel(t *testing.T) {
	b := sample()
	b.Kernel = []string{"intel_iommu=on"}
	line, err := b.Cmdline()
	if err != nil || !strings.Contains(" "+line+" ", " intel_iommu=on ") {
		t.Errorf("wrote %q, %v", line, err)
	}
}

func TestCmdlineRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*protocol.Boot)
		say    string
	}{
		{"no name", func(b *protocol.Boot) { b.Hostname = "" }, "DNS label"},
		{"a name with a space", func(b *protocol.Boot) { b.Hostname = "a b" }, "DNS label"},
		{"no MAC", func(b *protocol.Boot) { b.MAC = nil }, "6 bytes"},
		{"no address", func(b *protocol.Boot) { b.Addr = netip.Prefix{} }, "no address"},
		{"an unknown mode", func(b *protocol.Boot) { b.Docker = "maybe" }, `"maybe"`},
		{"a mount's colon", func(b *protocol.Boot) { b.Mounts[0].Path = "/a:b" }, "colon"},
		{"a relative mount", func(b *protocol.Boot) { b.Mounts[0].Path = "a" }, "leading slash"},
		{"a mount's space", func(b *protocol.Boot) { b.Mounts[0].Path = "/a b" }, "cannot stand there"},
		{"a kernel word with a quote", func(b *protocol.Boot) { b.Kernel = []string{`a="b"`} }, "cannot stand there"},
		{"a long line", func(b *protocol.Boot) { b.Modules = []string{strings.Repeat("m", 2048)} }, "more than the kernel's 2047"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := sample()
			tt.change(&b)
			if line, err := b.Cmdline(); err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("wrote %q, %v; want an error with %q", line, err, tt.say)
			}
		})
	}
}

func FuzzParseCmdline(f *testing.F) {
	line, err := sample().Cmdline()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add("nicferry.mount=a:b nicferry.mac=x nicferry.other=1")
	f.Fuzz(func(t *testing.T, line string) {
		b, err := protocol.ParseCmdline(line)
		if err != nil {
			return
		}
		if again, err := b.Cmdline(); err == nil {
			if _, err := protocol.ParseCmdline(again); err != nil {
				t.Errorf("%q was read, but not %q: %v", line, again, err)
			}
		}
	})
}
