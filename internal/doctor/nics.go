package doctor

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// A NIC is a link of the machine's own network namespace.
type NIC struct {
	Index int
	Name  string
	Kind  string // the driver's word for a virtual link; empty for hardware
	// PCI is the address of the function whose interface it is, as the kernel says it:
	// empty before Linux 5.14.
	PCI string
	MAC nic.MAC
	// Perm is the MAC that the card was made with; zero where its driver knows
	// none. A network manager that grabs a NIC may give it another MAC.
	Perm  nic.MAC
	Up    bool
	Addrs []netip.Prefix // without those of link scope
}

// ours says whether a NIC is one that goes into containers. Bridges that
// nicferry owns have MACs of its drawing too, and stay.
func (n NIC) ours() bool { return (n.MAC.Drawn() || n.Perm.Drawn()) && n.Kind != "bridge" }

// A sample is a NIC of ours as a network manager would see it when it comes:
// hardware by either of its likely names, and what the agent makes by itself.
type sample struct {
	name, driver, kind string
}

func samples() []sample {
	return []sample{
		{"eth1", "virtio_net", ""},
		{"enp7s0", "virtio_net", ""},
		{"ens7", "virtio_net", ""},
		{"nt0123456789ab", "macvlan", "macvlan"},
	}
}

// sampleMAC is one that nic.NewMAC may draw.
const sampleMAC = nic.MACPrefix + "00:00:00:01"

// present are the names of the NICs that the machine has.
func (t tree) present() []string { return t.list("sys/class/net") }

// routers are the names of the NICs that carry a default route of either family.
func (t tree) routers() []string {
	var names []string
	add := func(name string) {
		if name != "lo" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	const zeros = "00000000"
	v4, _ := t.read("proc/net/route")
	for line := range strings.Lines(v4) {
		f := strings.Fields(line)
		if len(f) >= 8 && f[1] == zeros && f[7] == zeros {
			add(f[0])
		}
	}
	v6, _ := t.read("proc/net/ipv6_route")
	for line := range strings.Lines(v6) {
		f := strings.Fields(line)
		if len(f) >= 10 && f[1] == "00" && f[0] == strings.Repeat(zeros, 4) {
			add(f[9])
		}
	}
	return names
}

// clients are the DHCP clients that were started for a NIC, as "dhclient, process 7".
func (t tree) clients(name string) []string {
	var found []string
	for _, pid := range t.pids() {
		line, _ := t.read("proc/" + pid + "/cmdline")
		args := strings.Split(strings.TrimRight(line, "\x00"), "\x00")
		program := filepath.Base(args[0])
		isClient := slices.Contains([]string{"dhclient", "dhcpcd", "udhcpc", "dhclient6"}, program) || strings.HasPrefix(program, "dhcpcd:")
		if isClient && slices.Contains(args[1:], name) {
			found = append(found, program+", process "+pid)
		}
	}
	return found
}
