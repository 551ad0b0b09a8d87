//go:build linux

package guest

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"fmt"
	"html"
	"strings"
	"text/template"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

// domainText has every device of its own at the root, so that each of the ports
// is free for what is plugged in.
//
//go:embed domain.xml.tmpl
var domainText string

// The guest's own devices stand on the root bus, above the ports, of which there
// are eight to a slot, and below the machine's own at 0x1f.
const (
	firstSlot = 0x10
	lastSlot  = 0x1e
)

// MaxPorts is how many ports there are slots for.
const MaxPorts = 8 * (firstSlot - 2)

// A Domain is a guest as libvirt defines it.
type Domain struct {
	// Image and Boot are what it boots. Required. Boot.Hostname is the domain's
	// name.
	Image *Image
	Boot  protocol.Boot
	// Type is the domain's type, and CPUMode that of its processor. Required: as
	// accel.Accelerator tells them.
	Type, CPUMode string
	// MemoryMiB is its memory. Required; see MinMemoryMiB.
	MemoryMiB int
	// CPUs is how many processors it has. Required.
	CPUs int
	// Ports is how many NICs can be plugged in, at most MaxPorts. Optional: none.
	Ports int
	// Bridge is the bridge of the management NIC, on the hypervisor's host.
	// Required.
	Bridge string
	// Console is the file that takes what the guest says. Required.
	Console string
	// Disk is the raw image that holds Boot.DockerDisk. Required with that.
	Disk string
	// Maker is who made the machine, as it says of itself. Optional: the hypervisor's
	// own word.
	Maker string
	// Devices are further devices as libvirt's XML. Optional.
	Devices string
}

// MinMemoryMiB is the least with which a guest runs dockerd and a few
// containers, which are in memory as well unless there is a disk.
const MinMemoryMiB = 768

// XML is the definition. Each device has its place, so that a definition that
// was made again is the same.
func (d Domain) XML() (string, error) {
	if d.Ports < 0 || d.Ports > MaxPorts {
		return "", fmt.Errorf("define guest %s: %d ports; there is room for 0 to %d", d.Boot.Hostname, d.Ports, MaxPorts)
	}
	if (d.Disk == "") != (d.Boot.DockerDisk == "") {
		return "", fmt.Errorf("define guest %s: a disk needs both a file and Boot.DockerDisk", d.Boot.Hostname)
	}
	if most := lastSlot - firstSlot - 1; len(d.Image.Exports) > most {
		return "", fmt.Errorf("define guest %s: %d exports; there is room for %d", d.Boot.Hostname, len(d.Image.Exports), most)
	}
	cmdline, err := d.Image.Cmdline(d.Boot)
	if err != nil {
		return "", fmt.Errorf("define guest %s: %w", d.Boot.Hostname, err)
	}
	t, err := template.New("domain").Funcs(template.FuncMap{
		"x":    html.EscapeString,
		"slot": slot,
		"next": func(n int) int { return n + 1 },
	}).Parse(domainText)
	if err != nil {
		return "", fmt.Errorf("define guest %s: %w", d.Boot.Hostname, err)
	}
	ports := make([]int, d.Ports)
	for n := range ports {
		ports[n] = n + 1
	}
	var buf bytes.Buffer
	err = t.Execute(&buf, struct {
		Domain
		Cmdline     string
		PortIndexes []int
	}{d, cmdline, ports})
	if err == nil {
		err = xml.NewDecoder(strings.NewReader(buf.String())).Decode(new(struct{}))
	}
	if err != nil {
		return "", fmt.Errorf("define guest %s: %w", d.Boot.Hostname, err)
	}
	return buf.String(), nil
}

// slot is the address of the guest's own nth device.
func slot(n int) string {
	return fmt.Sprintf("<address type='pci' domain='0x0000' bus='0x00' slot='0x%02x' function='0x0'/>", firstSlot+n)
}
