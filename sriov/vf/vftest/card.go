//go:build linux

// Package vftest is a node with cards in memory: a kernel and a bus for the room
// vf, with what drivers do to those who set virtual functions.
package vftest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
)

// A Driver is what a card's driver does. The zero Driver takes and keeps all.
type Driver struct {
	// Speed, of a driver that tells it as the most that a VF without a bound may send.
	Speed int
	// KeepsMAC: it answers EINVAL to a zero MAC, as many do.
	KeepsMAC bool
	// Refuses are fields, such as "rate" or "link", with the error that it answers.
	Refuses map[string]error
	// Forgets are fields that it takes without a word and does not keep.
	Forgets []string
	// Untold are switches that it does not tell.
	Untold []string
	// Binds: a VF reads its MAC when its driver is bound, and never again.
	Binds bool
	// Deaf: not even then.
	Deaf bool
}

// IGB is what the emulated 82576 does: no links, no rates, and MACs at binding.
func IGB() Driver {
	return Driver{Refuses: map[string]error{"link": unix.EOPNOTSUPP, "rate": unix.EINVAL}, Binds: true}
}

// A Node has cards. All methods may be called from several goroutines.
type Node struct {
	mu       sync.Mutex
	cards    []*card
	next     int // index of the next interface
	messages link.Messages
	// BeforeSet, optional, is called before each change of a VF, with nothing locked.
	BeforeSet func(pci string)
}

type card struct {
	Driver
	link link.Link
	vfs  []*function
}

type function struct {
	pci   string
	set   nic.VFSettings
	netif link.Link
	bare  bool
	other string // a driver that is not the card's own
}

// Add adds a PF with VFs, as they are when they are made: MACs drawn by themselves,
// no VLAN, spoof check on. The PF's bus address is 0000:BUS:00.0.
func (n *Node) Add(name string, bus, vfs int, d Driver) nic.VF {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	c := &card{Driver: d, link: link.Link{Index: n.next, Name: name, PCI: fmt.Sprintf("0000:%02x:00.0", bus), MAC: nic.NewMAC(), Up: true}}
	for i := range vfs {
		n.next++
		f := &function{
			pci: fmt.Sprintf("0000:%02x:%02x.%d", bus, 0x10+i/8, i%8),
			set: nic.VFSettings{
				VLAN: &nic.VFVLAN{}, SpoofCheck: new(true), Trust: new(false), Link: nic.VFLinkAuto, Rate: &nic.VFRate{},
			},
		}
		f.netif = link.Link{Index: n.next, Name: fmt.Sprintf("%sv%d", name, i), PCI: f.pci, MAC: nic.NewMAC()}
		c.vfs = append(c.vfs, f)
	}
	n.cards = append(n.cards, c)
	return nic.VF{PF: c.link.PCI, PCI: c.vfs[0].pci}
}

// VF is the recipe of a PF's VF, without settings.
func (n *Node) VF(pf string, index int) nic.VF {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		if c.link.Name == pf && index < len(c.vfs) {
			return nic.VF{PF: c.link.PCI, PCI: c.vfs[index].pci, Index: index}
		}
	}
	panic(fmt.Sprintf("no VF %d of %s", index, pf))
}

// Remove pulls a card out.
func (n *Node) Remove(pf string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cards = slices.DeleteFunc(n.cards, func(c *card) bool { return c.link.Name == pf })
}

// Change changes the interface of a VF, or of a PF, behind everybody's back.
func (n *Node) Change(pci string, do func(*link.Link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		if c.link.PCI == pci {
			do(&c.link)
		}
		for _, f := range c.vfs {
			if f.pci == pci {
				do(&f.netif)
			}
		}
	}
}

// Link has a card's cable be of that speed, in Mbit/s, for a driver that tells it.
func (n *Node) Link(pf string, speed int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		if c.link.Name == pf {
			c.Speed = speed
		}
	}
}

// Settings are what all VFs are set to, by PCI address.
func (n *Node) Settings() map[string]nic.VFSettings {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]nic.VFSettings{}
	for _, c := range n.cards {
		for _, f := range c.vfs {
			all[f.pci] = f.told(c.Driver)
		}
	}
	return all
}

// Messages says what has been sent so far.
func (n *Node) Messages() link.Messages {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.messages
}

// Links is [link.Handle]'s.
func (n *Node) Links() ([]link.Link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.messages.Dumps++
	var all []link.Link
	for _, c := range n.cards {
		all = append(all, c.link)
		for _, f := range c.vfs {
			if f.netif.Index != 0 {
				all = append(all, f.netif)
			}
		}
	}
	return all, nil
}

// PF is [link.Handle]'s.
func (n *Node) PF(index int) (link.PF, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.messages.Reads++
	for _, c := range n.cards {
		if c.link.Index != index {
			continue
		}
		pf := link.PF{Link: c.link, VFs: map[int]nic.VFSettings{}}
		for i, f := range c.vfs {
			pf.VFs[i] = f.told(c.Driver)
		}
		return pf, nil
	}
	return link.PF{}, fmt.Errorf("look up link %d: %w", index, link.ErrNotFound)
}

func (f *function) told(d Driver) nic.VFSettings {
	s := f.set
	if s.Rate != nil && s.Rate.Max == 0 && d.Speed != 0 {
		s.Rate = &nic.VFRate{Min: s.Rate.Min, Max: d.Speed}
	}
	if slices.Contains(d.Untold, "spoof check") {
		s.SpoofCheck = nil
	}
	if slices.Contains(d.Untold, "VLAN") {
		s.VLAN = nil
	}
	if slices.Contains(d.Untold, "trust") {
		s.Trust = nil
	}
	return s
}

// SetVF is [link.Handle]'s, in the kernel's order, with the first part done when the driver
// refuses a later one.
func (n *Node) SetVF(pf link.Link, index int, c link.VFChange) error {
	if n.BeforeSet != nil {
		n.BeforeSet(n.pciOf(pf, index))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.messages.Writes++
	for _, card := range n.cards {
		if card.link.Index != pf.Index {
			continue
		}
		if index < 0 || index >= len(card.vfs) {
			return fmt.Errorf("set VF %d of %q: %w", index, pf.Name, unix.EINVAL)
		}
		if err := card.set(card.vfs[index], c); err != nil {
			return fmt.Errorf("set VF %d of %q: %w", index, pf.Name, err)
		}
		return nil
	}
	return link.ErrNotFound
}

func (n *Node) pciOf(pf link.Link, index int) string {
	pci, err := n.Function(pf.PCI, index)
	if err != nil {
		return ""
	}
	return pci
}

func (c *card) set(f *function, change link.VFChange) error {
	for _, step := range []struct {
		name string
		set  bool
		do   func()
	}{
		{"MAC", change.MAC != nil, func() {
			f.set.MAC = *change.MAC
			if !c.Binds && !f.set.MAC.IsZero() {
				f.netif.MAC = f.set.MAC
			}
		}},
		{"VLAN", change.VLAN != nil, func() { f.set.VLAN = change.VLAN }},
		{"rate", change.Rate != nil, func() { f.set.Rate = change.Rate }},
		{"spoof check", change.SpoofCheck != nil, func() { f.set.SpoofCheck = change.SpoofCheck }},
		{"link", change.Link != "", func() { f.set.Link = change.Link }},
		{"trust", change.Trust != nil, func() { f.set.Trust = change.Trust }},
	} {
		if !step.set {
			continue
		}
		if c.KeepsMAC && step.name == "MAC" && change.MAC.IsZero() {
			return unix.EINVAL
		}
		if err := c.Refuses[step.name]; err != nil {
			return err
		}
		if !slices.Contains(c.Forgets, step.name) {
			step.do()
		}
	}
	return nil
}

// Function is [vf.Bus]'s.
func (n *Node) Function(pf string, index int) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		if c.link.PCI == pf && index < len(c.vfs) {
			return c.vfs[index].pci, nil
		}
	}
	return "", fmt.Errorf("VF %d of %s: %w", index, pf, vf.ErrNotFound)
}

// Unbind takes a VF's driver off.
func (n *Node) Unbind(pci string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		for _, f := range c.vfs {
			if f.pci == pci {
				f.netif, f.bare = link.Link{}, true
			}
		}
	}
}

// Serve gives a VF a driver that makes no interface, such as vfio-pci.
func (n *Node) Serve(pci, driver string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		for _, f := range c.vfs {
			if f.pci == pci {
				f.netif, f.bare, f.other = link.Link{}, false, driver
			}
		}
	}
}

// Driver is [vf.Bus]'s.
func (n *Node) Driver(pci string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		for _, f := range c.vfs {
			if f.pci == pci && !f.bare {
				return cmp.Or(f.other, "igbvf"), nil
			}
		}
	}
	return "", nil
}

// Rebind is [vf.Bus]'s: the interface gets another index, and the MAC that the PF has
// for it.
func (n *Node) Rebind(pci string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.cards {
		for _, f := range c.vfs {
			if f.pci != pci {
				continue
			}
			n.next++
			f.bare, f.other = false, ""
			f.netif = link.Link{Index: n.next, Name: fmt.Sprintf("eth%d", n.next), PCI: pci, MAC: nic.NewMAC()}
			if !f.set.MAC.IsZero() && !c.Deaf {
				f.netif.MAC = f.set.MAC
			}
			return nil
		}
	}
	return unix.ENODEV
}
