//go:build linux

// Package sysfs reads which cards a machine can cut into virtual functions, and
// cuts them, by the files of the kernel's sysfs.
package sysfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/internal/sysfile"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// DefaultState is where it is kept which VFs nicferry has made, where the agent's
// unit may write. It is on tmpfs, which a boot empties as it does the cards.
const DefaultState = "/run/nicferry/agent/sriov"

// Options say where a machine's files are. All are optional.
type Options struct {
	// Root is the directory above sys and proc: /.
	Root string
	// State is the directory for what was made: DefaultState.
	State string
	// Write writes to a file that is there: as the kernel takes it, in one piece.
	Write func(path, text string) error
	// Elsewhere says who has the VFs whose interfaces are in other network
	// namespaces: nobody is named. Namespaces finds those on the own machine.
	Elsewhere func() (map[sriov.Address]string, error)
	// Reload has udev read its rules anew: it does so by itself after seconds.
	Reload func(ctx context.Context) error
	// Told is told each step of what takes time, for people: nobody is.
	Told func(step string)
}

// A Tree is a machine's sysfs. It may be used by any number of goroutines.
type Tree struct {
	opts  Options
	files sysfile.Root
}

// New returns the machine's tree. It reads nothing yet.
func New(opts Options) *Tree {
	if opts.Root == "" {
		opts.Root = "/"
	}
	if opts.State == "" {
		opts.State = DefaultState
	}
	if opts.Write == nil {
		opts.Write = sysfile.Write
	}
	if opts.Elsewhere == nil {
		opts.Elsewhere = func() (map[sriov.Address]string, error) { return nil, nil }
	}
	if opts.Reload == nil {
		opts.Reload = func(context.Context) error { return nil }
	}
	if opts.Told == nil {
		opts.Told = func(string) {}
	}
	return &Tree{opts, sysfile.Root(opts.Root)}
}

const (
	pciDevices = "sys/bus/pci/devices"
	netClass   = "sys/class/net"
	numaNodes  = "sys/devices/system/node"
)

func device(a sriov.Address) string { return filepath.Join(pciDevices, string(a)) }

// number is a file's decimal or, after 0x, hexadecimal.
func (t *Tree) number(elem ...string) (int, error) {
	word, err := t.files.Word(elem...)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(word, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.files.Path(elem...), err)
	}
	return int(n), nil
}

// numberOr is a number that need not be there, or cannot be read at present, as
// the speed of a link that is down.
func (t *Tree) numberOr(without int, elem ...string) int {
	n, err := t.number(elem...)
	if err != nil {
		return without
	}
	return n
}

// names lists a directory, sorted; none where there is none.
func (t *Tree) names(elem ...string) []string {
	entries, err := os.ReadDir(t.files.Path(elem...))
	if err != nil {
		return nil
	}
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Name()
	}
	return all
}

// mac is an interface's address; zero for what is no unicast address.
func (t *Tree) mac(name string) nic.MAC {
	word, err := t.files.Word(netClass, name, "address")
	if err != nil {
		return nic.MAC{}
	}
	mac, err := nic.ParseMAC(word)
	if err != nil {
		return nic.MAC{}
	}
	return mac
}

// From linux/if.h.
const (
	flagUp      = 0x1
	flagPromisc = 0x100
)

// link is the state of an interface; all zero without one.
func (t *Tree) link(name string) sriov.Link {
	if name == "" {
		return sriov.Link{}
	}
	flags := t.numberOr(0, netClass, name, "flags")
	return sriov.Link{
		Up:      flags&flagUp != 0,
		Promisc: flags&flagPromisc != 0,
		Carrier: t.numberOr(0, netClass, name, "carrier") == 1, // cannot be read while it is down
		Mbps:    max(t.numberOr(0, netClass, name, "speed"), 0),
		MTU:     t.numberOr(0, netClass, name, "mtu"),
	}
}

// Processors are those of each NUMA node, in the kernel's form such as 0-3,8; none on
// a kernel that knows no nodes.
func (t *Tree) Processors() (map[int]string, error) {
	all := map[int]string{}
	for _, name := range t.names(numaNodes) {
		digits, isNode := strings.CutPrefix(name, "node")
		node, err := strconv.Atoi(digits)
		if !isNode || err != nil {
			continue
		}
		if all[node], err = t.files.Word(numaNodes, name, "cpulist"); err != nil {
			return nil, fmt.Errorf("read processors of NUMA node %d: %w", node, err)
		}
	}
	return all, nil
}

// group is a device's IOMMU group.
func (t *Tree) group(a sriov.Address) int {
	n, err := strconv.Atoi(t.files.Target(device(a), "iommu_group"))
	if err != nil {
		return sriov.None
	}
	return n
}

// interfaceOf is the device's own interface in this network namespace. A card
// whose switch is told what to do also has one for each VF, as the VF's other end.
func (t *Tree) interfaceOf(a sriov.Address) string {
	all := slices.DeleteFunc(t.names(device(a), "net"), func(name string) bool {
		port, err := t.files.Word(netClass, name, "phys_port_name")
		return err == nil && strings.Contains(port, "vf")
	})
	if len(all) == 0 {
		return ""
	}
	return all[0]
}
