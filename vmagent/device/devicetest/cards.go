//go:build linux

// Package devicetest stands veths in for cards with virtual functions, where the
// kernel has none.
package devicetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
)

// Cards are one VF on each of several PFs, and what sets them. Each VF is a veth whose
// other end is a port of a switch. It has the MAC that is set of it once it is
// heeded, as with igbvf. Unlike hardware it dies with the namespace that it is in.
type Cards struct {
	// Switch has the ports port0, port1, … in its bridge br0, which is 192.0.2.1/24.
	Switch *netns.Namespace
	// Refuse is what the next settings are refused with.
	Refuse error
	// Boot is what settings are read in; it is "b" unless it is set before an agent starts.
	Boot string

	host  *link.Handle
	mu    sync.Mutex
	pcis  map[int]string // by the index of the port on the switch
	set   map[string]nic.VFSettings
	calls []string

	owners  map[string]nic.ID
	differs map[string]error
	pulled  map[string]bool // whose card is out of the machine
}

// New gives the host n VFs, named vf0, vf1, …
func New(t testing.TB, host *netns.Namespace, n int) *Cards {
	t.Helper()
	h, err := link.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	c := &Cards{Switch: netnstest.New(t), host: h, Boot: "b", pcis: map[int]string{}, set: map[string]nic.VFSettings{}}
	c.owners, c.differs, c.pulled = map[string]nic.ID{}, map[string]error{}, map[string]bool{}
	ports, err := link.Open(c.Switch)
	if err != nil {
		t.Fatal(err)
	}
	defer ports.Close()
	c.ip(t, "link", "add", "br0", "address", nic.NewMAC().String(), "type", "bridge")
	for i := range n {
		name := fmt.Sprintf("port%d", i)
		c.ip(t, "link", "add", name, "index", fmt.Sprint(someIndex()), "type", "veth", "peer", "name", "tmp")
		port, err := ports.ByName(name)
		var end link.Link
		if err == nil {
			end, err = ports.ByName("tmp")
		}
		if err == nil {
			_, err = ports.Move(end, h, link.Change{Name: fmt.Sprintf("vf%d", i)})
		}
		if err != nil {
			t.Fatal(err)
		}
		c.ip(t, "link", "set", name, "master", "br0", "up")
		c.pcis[port.Index] = PCI(i)
	}
	c.ip(t, "link", "set", "br0", "up")
	c.ip(t, "addr", "add", "192.0.2.1/24", "dev", "br0")
	return c
}

// someIndex is one that the kernel deals out nowhere. An agent looks for a lost VF in all
// namespaces of the machine, and a VF is told by the index of its port: with the kernel's
// own, 3 for the first, it would take away another test's cable, or a lab's.
func someIndex() int32 { return 1<<20 + rand.Int32N(1<<29) }

func (c *Cards) ip(t testing.TB, args ...string) {
	t.Helper()
	netnstest.Run(t, c.Switch, "ip", args...)
}

// Cable pulls the cable of a VF's port out, or plugs it in.
func (c *Cards) Cable(t testing.TB, i int, in bool) {
	t.Helper()
	c.ip(t, "link", "set", fmt.Sprintf("port%d", i), map[bool]string{true: "up", false: "down"}[in])
}

// Pull takes the card of VF i out of the machine, and its VF with it, wherever that is.
func (c *Cards) Pull(t testing.TB, i int) {
	t.Helper()
	c.mu.Lock()
	c.pulled[PCI(i)] = true
	c.mu.Unlock()
	c.ip(t, "link", "del", fmt.Sprintf("port%d", i))
}

// gone is what is said of a VF whose card is not there.
func (c *Cards) gone(v nic.VF) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulled[v.PCI] {
		return fmt.Errorf("physical function %s has no interface in the host's namespace: %w", v.PF, vf.ErrNotFound)
	}
	return nil
}

// PCI is the address of VF i.
func PCI(i int) string { return fmt.Sprintf("0000:%02x:10.0", i+3) }

// VF is the recipe for VF i, which is called VF<i+1>1 when it is home.
func VF(i int, mac nic.MAC) nic.VF {
	v := nic.VF{PCI: PCI(i), PF: fmt.Sprintf("0000:%02x:00.0", i+3), Name: fmt.Sprintf("VF%d1", i+1)}
	v.Set = nic.VFSettings{MAC: mac, SpoofCheck: new(true), Trust: new(false)}
	return v
}

// Bond is the recipe for a bond of the first two VFs.
func Bond(mode nic.BondMode, mac nic.MAC) nic.Bond {
	b := nic.Bond{Mode: mode, Members: []nic.VF{VF(0, mac), VF(1, mac)}}
	if !mode.OneMAC() {
		for i := range b.Members {
			b.Members[i].Set.SpoofCheck, b.Members[i].Set.Trust = new(false), new(true)
		}
		b.Members[1].Set.MAC = nic.NewMAC()
	}
	return b
}

func (c *Cards) note(call, pci string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call+" "+pci)
}

// Said are the calls since the last question, such as "apply 0000:03:10.0".
func (c *Cards) Said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.calls = nil }()
	return c.calls
}

// Set are the VFs that are set at present.
func (c *Cards) Set() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.set)
}

// At is where on the bus a link's device is.
func (c *Cards) At(l link.Link) string {
	if l.Kind != link.KindVeth {
		return ""
	}
	return c.pcis[l.ParentIndex]
}

// Virtual says whether it is a VF's address.
func (c *Cards) Virtual(pci string) bool {
	for _, known := range c.pcis {
		if known == pci {
			return true
		}
	}
	return false
}

// Take is device.Functions'.
func (c *Cards) Take(_ context.Context, owner nic.ID, v nic.VF) (nic.VFWas, error) {
	c.note("take", v.PCI)
	if err := c.gone(v); err != nil {
		return nic.VFWas{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if has := c.owners[v.PCI]; has != "" && has != owner {
		return nic.VFWas{}, fmt.Errorf("VF %s is another's", v.PCI)
	}
	c.owners[v.PCI] = owner
	return nic.VFWas{Boot: c.Boot}, nil
}

// Apply is device.Functions'.
func (c *Cards) Apply(_ context.Context, owner nic.ID, v nic.VF) error {
	c.note("apply", v.PCI)
	if err := errors.Join(c.Refuse, c.gone(v)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set[v.PCI] = v.Set
	c.differs[v.PCI] = unset(c.differs[v.PCI])
	if c.owners[v.PCI] == "" {
		c.owners[v.PCI] = owner
	}
	return nil
}

// Heed is device.Functions'.
func (c *Cards) Heed(_ context.Context, _ nic.ID, v nic.VF) (bool, error) {
	links, err := c.host.Links()
	if err != nil {
		return false, err
	}
	for _, l := range links {
		if c.At(l) == v.PCI && l.MAC != v.Set.MAC {
			c.note("heed", v.PCI)
			return true, c.host.Set(l, link.Change{Name: "eth" + v.PCI[6:7], MAC: v.Set.MAC})
		}
	}
	return false, nil
}

// Differs is device.Functions'.
func (c *Cards) Differs(_ context.Context, _ nic.ID, v nic.VF) error {
	if err := c.gone(v); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.differs[v.PCI]
}

// Owned is device.Functions'.
func (c *Cards) Owned(owner nic.ID, v nic.VF) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owners[v.PCI] == owner, nil
}

// Own has a NIC own a VF, whoever did before.
func (c *Cards) Own(owner nic.ID, v nic.VF) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners[v.PCI] = owner
}

// unset is what setting a VF does not mend.
func unset(err error) error {
	var rest []error
	for _, loud := range vf.Told[*vf.PromiscuousError](err) {
		rest = append(rest, loud)
	}
	for _, untold := range vf.Told[*vf.UntoldError](err) {
		rest = append(rest, untold)
	}
	return errors.Join(rest...)
}

// SetByHand has a VF differ by err: by its settings until they are set again, by all else
// until it is called again.
func (c *Cards) SetByHand(v nic.VF, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.differs[v.PCI] = err
}

// Device is device.Opener's: a VF that is not set is in nobody's hands.
func (c *Cards) Device(pci string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, is := c.set[pci]; !is {
		return "", fmt.Errorf("VF %s is not bound", pci)
	}
	return "/dev/vfio/7", nil
}

// Restore is device.Functions'.
func (c *Cards) Restore(_ context.Context, owner nic.ID, v nic.VF) error {
	c.note("restore", v.PCI)
	c.mu.Lock()
	defer c.mu.Unlock()
	if has := c.owners[v.PCI]; has != "" && has != owner {
		return nil
	}
	delete(c.owners, v.PCI)
	delete(c.set, v.PCI)
	return nil
}
