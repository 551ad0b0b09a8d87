package virt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// ReadDomain makes a Domain of its XML: live as it runs, "" while it is off,
// and stored as it starts next, "" if it is transient. The state is Running or
// Off by that; only libvirt knows of Paused.
func ReadDomain(live, stored string) (Domain, error) { return new(memory).domain("", live, stored) }

// domainOf joins what the two texts of a domain say; nil is one that it has not.
func domainOf(live, stored *reading) Domain {
	d := Domain{State: Off, Transient: stored == nil}
	current := stored
	if live != nil {
		d.State, current = Running, live
	}
	d.Name, d.UUID, d.Hotplug, d.Slots = current.name, current.uuid, current.hotplug, current.slots
	d.Ports = slices.Clone(current.ports)
	if live != nil {
		d.Live = slices.Clone(live.cards)
	}
	if stored != nil {
		d.Stored = slices.Clone(stored.cards)
	}
	if live != nil && stored != nil {
		d.dropPorts(stored.used)
	}
	return d
}

// A reading is what one text of a domain's XML says. Nobody changes it.
type reading struct {
	name, uuid string
	hotplug    HotplugMode
	slots      Slots
	ports      []string
	used       map[string]bool // by usedBuses
	cards      []Interface
}

func readText(text string) (*reading, error) {
	x, err := readDefinition(text)
	r := &reading{name: x.Name, uuid: x.UUID}
	if err == nil {
		r.hotplug = hotplugMode(x)
		r.used, err = usedBuses(text)
	}
	if err == nil {
		r.slots, r.ports = countSlots(x, r.used)
		r.cards, err = x.interfaces()
	}
	if err != nil {
		return nil, fmt.Errorf("read XML of domain %s: %w", r.name, err)
	}
	return r, nil
}

// A definition is what of a domain's XML is of use. To read all of it, as
// libvirtxml.Domain does, takes longer, and an attach looks at its domain four
// times.
type definition struct {
	XMLName     xml.Name                      `xml:"domain"`
	Name        string                        `xml:"name"`
	UUID        string                        `xml:"uuid"`
	OS          *libvirtxml.DomainOS          `xml:"os"`
	Features    *libvirtxml.DomainFeatureList `xml:"features"`
	Controllers []controller                  `xml:"devices>controller"`
	Interfaces  []struct {
		Type  string `xml:"type,attr"`
		Inner string `xml:",innerxml"`
	} `xml:"devices>interface"`
	Commandline *libvirtxml.DomainQEMUCommandline `xml:"http://libvirt.org/schemas/domain/qemu/1.0 commandline"`
}

type controller struct {
	Type   string `xml:"type,attr"`
	Model  string `xml:"model,attr"`
	Index  *uint  `xml:"index,attr"`
	Target struct {
		Hotplug string `xml:"hotplug,attr"`
	} `xml:"target"`
}

func readDefinition(text string) (definition, error) {
	var x definition
	err := xml.Unmarshal([]byte(text), &x)
	return x, err
}

// interfaces are the definition's. What cannot be said in our words is left
// zero.
func (x definition) interfaces() ([]Interface, error) {
	list := make([]Interface, 0, len(x.Interfaces))
	for _, i := range x.Interfaces {
		// It is read twice, and the rest of the definition is not.
		one, err := UnmarshalInterface(fmt.Sprintf("<interface type=%q>%s</interface>", i.Type, i.Inner))
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// countSlots counts the ports that devices are plugged into at run time, and
// lists those of them with no device behind them. A port's bus is its index.
func countSlots(x definition, used map[string]bool) (s Slots, ports []string) {
	for _, c := range x.Controllers {
		if c.Type != "pci" || c.Index == nil || (c.Model != "pcie-root-port" && c.Model != "pcie-switch-downstream-port") {
			continue
		}
		if c.Target.Hotplug == "off" {
			continue
		}
		s.Total++
		if !used[fmt.Sprintf("0x%02x", *c.Index)] {
			s.Free++
			ports = append(ports, fmt.Sprintf("0000:%02x:00.0", *c.Index))
		}
	}
	return s, ports
}

// dropPorts drops those that the stored definition has something behind.
func (d *Domain) dropPorts(used map[string]bool) {
	d.Ports = slices.DeleteFunc(d.Ports, func(address string) bool {
		_, bus, _ := strings.Cut(address, ":")
		return used["0x"+bus[:2]]
	})
}

// usedBuses finds the buses, such as 0x05, that any device of the guest is on,
// whatever its kind. The address of a passed-through device on the host has no
// type, so it is not taken for one.
func usedBuses(text string) (map[string]bool, error) {
	used := map[string]bool{}
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return used, nil
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "address" || attribute(start, "type") != "pci" {
			continue
		}
		used[attribute(start, "bus")] = true
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// hotplugMode guesses from what the definition says: q35 plugs by ACPI since
// its version 6.1, unless that was turned off for its bridges.
func hotplugMode(x definition) HotplugMode {
	if x.Features == nil || x.Features.ACPI == nil {
		return Native
	}
	if x.Commandline != nil {
		for _, arg := range x.Commandline.Args {
			if strings.HasSuffix(arg.Value, "acpi-pci-hotplug-with-bridge-support=off") {
				return Native
			}
		}
	}
	if x.OS != nil && x.OS.Type != nil {
		old := []string{"2.", "3.", "4.", "5.", "6.0"}
		version, found := strings.CutPrefix(x.OS.Type.Machine, "pc-q35-")
		if found && slices.ContainsFunc(old, func(prefix string) bool { return strings.HasPrefix(version, prefix) }) {
			return Native
		}
		if strings.HasPrefix(x.OS.Type.Arch, "aarch64") {
			return Native
		}
	}
	return ACPI
}

// isUUID keeps names from libvirt's parser of UUIDs, which takes more than the
// usual form and calls all else an internal error.
func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, r := range id {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
		if dash != (r == '-') || !dash && !hex {
			return false
		}
	}
	return true
}
