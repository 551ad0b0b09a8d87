//go:build linux

package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// A Change is what one message does to a link. All fields are optional; what
// is unset stays as it is. The kernel works through the message in its own
// order and leaves the first part done when a later one fails.
type Change struct {
	Name string
	MAC  nic.MAC
	// MTU in bytes.
	MTU   int
	Alias *string
	// Master is the index of the new bridge or bond; 0 takes the link out of its own.
	Master *int
	Up     *bool
	// Plain switches promiscuous and all-multicast mode off, ARP and multicast
	// on, as with any Ethernet link.
	Plain bool
	// Deaf switches promiscuous mode off alone.
	Deaf bool
	// Tuning is changed where the link that is given differs from it; its Odd
	// is what Plain is for.
	Tuning *Tuning
	// NoIPv6Auto keeps the kernel from giving the link IPv6 addresses of its
	// own. It must come in a message before the one that sets the link up.
	NoIPv6Auto bool
}

// Set changes a link. It finds the link by its index alone: a name may be
// another's by now.
func (h *Handle) Set(l Link, c Change) error {
	if err := h.write(c.request(l)); err != nil {
		return fmt.Errorf("change link %q%s: %w", l.Name, c.words(), err)
	}
	return nil
}

// Move sends a link to the namespace of to and makes the change there, in one
// message, and returns the link by what is known of it there: its index, its
// kind and what the change says. What else it was is left out. Change must have
// a name.
//
// On an error the link may be in either place: the kernel moves first and
// renames then. So ask beforehand whether the name is free, and look in both
// places afterwards.
func (h *Handle) Move(l Link, to *Handle, c Change) (Link, error) {
	if c.Name == "" {
		return Link{}, fmt.Errorf("move link %q to %s: no name to find it by there", l.Name, to.ns.ID())
	}
	req := c.request(l)
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(to.ns.FD()))))
	if err := h.write(req); err != nil {
		return Link{}, fmt.Errorf("move link %q to %s as %q: %w", l.Name, to.ns.ID(), c.Name, err)
	}
	index, err := to.IndexOf(c.Name) // it may be another one
	if err != nil {
		return Link{}, fmt.Errorf("move link %q to %s: %w", l.Name, to.ns.ID(), err)
	}
	return l.moved(index, c), nil
}

func (l Link) moved(index int, c Change) Link {
	m := Link{
		Index: index, Name: c.Name, Kind: l.Kind, PCI: l.PCI, AltNames: l.AltNames, MAC: l.MAC, PermMAC: l.PermMAC, MTU: l.MTU,
		Alias: l.Alias, ParentIndex: l.ParentIndex, ParentNSID: SameNamespace, Tuning: l.Tuning,
		tsoSize: l.tsoSize, tsoSegs: l.tsoSegs,
	}
	if !c.MAC.IsZero() {
		m.MAC = c.MAC
	}
	if c.MTU > 0 {
		m.MTU = c.MTU
	}
	if c.Alias != nil {
		m.Alias = *c.Alias
	}
	if c.Tuning != nil {
		m.Tuning = *c.Tuning
	}
	m.Up = c.Up != nil && *c.Up // a move takes it down
	return m
}

// DropAltNames removes all alternative names. They outlive a move, and a link
// cannot take a name that another has as an alternative.
func (h *Handle) DropAltNames(l Link) error {
	if len(l.AltNames) == 0 {
		return nil
	}
	req := nl.NewNetlinkRequest(unix.RTM_DELLINKPROP, 0)
	req.AddData(head(l.Index))
	list := nl.NewRtAttr(unix.IFLA_PROP_LIST|unix.NLA_F_NESTED, nil)
	for _, name := range l.AltNames {
		list.AddRtAttr(unix.IFLA_ALT_IFNAME, nl.ZeroTerminated(name))
	}
	req.AddData(list)
	if err := h.write(req); err != nil {
		return fmt.Errorf("drop alternative names %q of link %q: %w", l.AltNames, l.Name, err)
	}
	return nil
}

// DropXDP detaches the XDP programs that were attached to the link, in each of
// the kernel's modes. One that a process holds by a BPF link of its own stays
// until that process ends, and is an error.
func (h *Handle) DropXDP(l Link) error {
	for _, mode := range l.XDP.modes() {
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
		req.AddData(head(l.Index))
		xdp := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
		xdp.AddRtAttr(nl.IFLA_XDP_FD, nl.Uint32Attr(^uint32(0)))
		xdp.AddRtAttr(nl.IFLA_XDP_FLAGS, nl.Uint32Attr(mode))
		req.AddData(xdp)
		if err := h.write(req); err != nil {
			return fmt.Errorf("detach XDP program from link %q: %w", l.Name, err)
		}
	}
	return nil
}

// Delete removes a link. One that is gone already is no error.
func (h *Handle) Delete(l Link) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, 0)
	req.AddData(head(l.Index))
	if err := h.write(req); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete link %q: %w", l.Name, err)
	}
	return nil
}

func (c Change) request(l Link) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
	msg := head(l.Index)
	if c.Up != nil {
		msg.Change |= unix.IFF_UP
		if *c.Up {
			msg.Flags |= unix.IFF_UP
		}
	}
	if c.Plain {
		msg.Change |= unix.IFF_PROMISC | unix.IFF_ALLMULTI | oddFlags | unix.IFF_MULTICAST
		msg.Flags |= unix.IFF_MULTICAST
	}
	if c.Deaf {
		msg.Change |= unix.IFF_PROMISC
	}
	req.AddData(msg)
	if c.Name != "" {
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(c.Name)))
	}
	if !c.MAC.IsZero() {
		req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, c.MAC[:]))
	}
	if c.MTU > 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(c.MTU))))
	}
	if c.Alias != nil {
		req.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(*c.Alias)))
	}
	if c.Master != nil {
		req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(*c.Master))))
	}
	if c.Tuning != nil {
		addTuning(req, l.Tuning, *c.Tuning)
	}
	if c.NoIPv6Auto {
		families := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
		inet6 := families.AddRtAttr(unix.AF_INET6|unix.NLA_F_NESTED, nil)
		inet6.AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(addrGenNone))
		req.AddData(families)
	}
	return req
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE, linux/if_link.h.
const addrGenNone = 1

// words say what the change was, for errors.
func (c Change) words() (s string) {
	if c.Name != "" {
		s += fmt.Sprintf(" name %q", c.Name)
	}
	if !c.MAC.IsZero() {
		s += " MAC " + c.MAC.String()
	}
	if c.MTU > 0 {
		s += fmt.Sprintf(" MTU %d", c.MTU)
	}
	if c.Alias != nil {
		s += fmt.Sprintf(" alias %q", *c.Alias)
	}
	if c.Master != nil {
		s += fmt.Sprintf(" master %d", *c.Master)
	}
	if c.Up != nil {
		s += fmt.Sprintf(" up %t", *c.Up)
	}
	return s
}

func head(index int) *nl.IfInfomsg {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	return msg
}
