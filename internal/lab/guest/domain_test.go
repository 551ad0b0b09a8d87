//go:build linux

package guest_test

import (
	"encoding/xml"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/guesttest"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

func sampleDomain() guest.Domain {
	return guest.Domain{
		Image: &guest.Image{
			Vmlinuz: "/lab/vmlinuz",
			Initrd:  "/lab/initrd",
			Exports: []guest.Export{
				{Tag: "usr", Path: "/usr"},
				{Tag: "out", Path: "/lab/a & b", Mount: "/out", Writable: true},
			},
		},
		Boot: protocol.Boot{
			Hostname: "vm1", MAC: net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1},
			Addr: netip.MustParsePrefix("10.98.0.2/24"), DockerDisk: "docker",
		},
		Type: "qemu", CPUMode: "maximum", MemoryMiB: 768, CPUs: 2, Ports: 16,
		Bridge: "mgmt", Console: "/lab/vm1.log", Disk: "/lab/vm1.img", Maker: "Amazon EC2",
		Devices: "<interface type='bridge'><source bridge='lan'/><model type='igb'/></interface>",
	}
}

func TestDomainIsWhatLibvirtKnows(t *testing.T) {
	for name, change := range map[string]func(*guest.Domain){
		"all":   func(*guest.Domain) {},
		"least": func(d *guest.Domain) { d.Ports, d.Disk, d.Boot.DockerDisk, d.Maker, d.Devices = 0, "", "", "", "" },
		"kvm":   func(d *guest.Domain) { d.Type, d.CPUMode, d.Ports = "kvm", "host-passthrough", guest.MaxPorts },
	} {
		t.Run(name, func(t *testing.T) {
			d := sampleDomain()
			change(&d)
			text, err := d.XML()
			if err != nil {
				t.Fatal(err)
			}
			guesttest.WantDomain(t, text)
		})
	}
}

// The ports stay free because every device has its place elsewhere.
func TestDomainLeavesItsPortsFree(t *testing.T) {
	text, err := sampleDomain().XML()
	if err != nil {
		t.Fatal(err)
	}
	type device struct {
		Source struct {
			Dir string `xml:"dir,attr"`
		} `xml:"source"`
		ReadOnly *struct{} `xml:"readonly"`
		Address  struct {
			Bus  string `xml:"bus,attr"`
			Slot string `xml:"slot,attr"`
		} `xml:"address"`
	}
	var got struct {
		Ports []struct {
			Model string `xml:"model,attr"`
		} `xml:"devices>controller"`
		Trees []device `xml:"devices>filesystem"`
		NICs  []device `xml:"devices>interface"`
		Disks []device `xml:"devices>disk"`
	}
	if err := xml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, "pcie-root-port"); n != 16 {
		t.Errorf("%d ports, want 16", n)
	}
	if len(got.Trees) != 2 || len(got.NICs) != 2 || len(got.Disks) != 1 {
		t.Fatalf("devices are %+v", got)
	}
	if got.Trees[0].ReadOnly == nil || got.Trees[1].ReadOnly != nil || got.Trees[1].Source.Dir != "/lab/a & b" {
		t.Errorf("trees are %+v", got.Trees)
	}
	seen := map[string]bool{}
	for _, d := range []device{got.Trees[0], got.Trees[1], got.NICs[0], got.Disks[0]} {
		if d.Address.Bus != "0x00" || seen[d.Address.Slot] {
			t.Errorf("a device is at bus %q, slot %q", d.Address.Bus, d.Address.Slot)
		}
		seen[d.Address.Slot] = true
	}
}

func TestDomainRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*guest.Domain)
		say    string
	}{
		{"too many ports", func(d *guest.Domain) { d.Ports = guest.MaxPorts + 1 }, "room for"},
		{"too many exports", func(d *guest.Domain) { d.Image.Exports = make([]guest.Export, 14) }, "room for 13"},
		{"a disk without its number", func(d *guest.Domain) { d.Boot.DockerDisk = "" }, "needs both"},
		{"a number without its disk", func(d *guest.Domain) { d.Disk = "" }, "needs both"},
		{"no name", func(d *guest.Domain) { d.Boot.Hostname = "" }, "DNS label"},
		{"devices that are not XML", func(d *guest.Domain) { d.Devices = "<disk>" }, "define guest vm1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := sampleDomain()
			tt.change(&d)
			if text, err := d.XML(); err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("wrote %s, %v; want an error with %q", text, err, tt.say)
			}
		})
	}
}
