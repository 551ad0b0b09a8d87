//go:build linux

package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// A Pair is a veth to be made. Both ends are made down, in the namespace of
// the handle. The kernel takes no alias at birth: set it afterwards.
type Pair struct {
	Name, PeerName string  // required
	MAC, PeerMAC   nic.MAC // optional: zero lets the kernel draw one
	MTU            int     // bytes; optional
	Master         int     // index of the first end's bridge; optional
}

// AddPair makes both ends with all of it in one message. A name that is taken
// is ErrExists, and then nothing is made.
func (h *Handle) AddPair(p Pair) error {
	req := create(p.Name, p.MAC, p.MTU)
	if p.Master != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(p.Master))))
	}
	info, data := linkInfo(KindVeth)
	peer := data.AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.PeerName))
	if !p.PeerMAC.IsZero() {
		peer.AddRtAttr(unix.IFLA_ADDRESS, p.PeerMAC[:])
	}
	if p.MTU > 0 { // else the peer has the kernel's, whatever the first end has
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(p.MTU)))
	}
	req.AddData(info)
	if err := h.write(req); err != nil {
		return fmt.Errorf("make veth %q with peer %q: %w", p.Name, p.PeerName, err)
	}
	return nil
}

// AddBridge makes a bridge, down, without spanning tree. With a MAC of its own
// it keeps that, whatever ports come and go. A taken name is ErrExists.
func (h *Handle) AddBridge(name string, mac nic.MAC) error {
	req := create(name, mac, 0)
	info, data := linkInfo(KindBridge)
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	req.AddData(info)
	if err := h.write(req); err != nil {
		return fmt.Errorf("make bridge %q: %w", name, err)
	}
	return nil
}

// A Macvlan is a macvlan in bridge mode to be made, down.
type Macvlan struct {
	Name   string  // required
	Parent int     // required: index of the link below
	Index  int     // optional: its own index; 0 lets the kernel choose
	MAC    nic.MAC // optional: zero lets the kernel draw one
	MTU    int     // bytes; optional: 0 takes the parent's
}

// AddMacvlan makes a macvlan. A taken name or index is ErrExists, and a parent that
// carries ipvlans, or is a port, ErrBusy.
func (h *Handle) AddMacvlan(m Macvlan) error {
	msg := head(m.Index)
	req := createAt(msg, m.Name, m.MAC, m.MTU)
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(m.Parent))))
	info, data := linkInfo(KindMacvlan)
	data.AddRtAttr(nl.IFLA_MACVLAN_MODE, nl.Uint32Attr(nl.MACVLAN_MODE_BRIDGE))
	req.AddData(info)
	err := h.writeAt(req, m.Index)
	if errors.Is(err, unix.EBUSY) {
		err = ErrBusy
	}
	if err != nil {
		return fmt.Errorf("make macvlan %q: %w", m.Name, err)
	}
	return nil
}

// An Ipvlan is an ipvlan in mode L2 to be made, down. It has its parent's MAC.
type Ipvlan struct {
	Name   string // required
	Parent int    // required: index of the link below
	Index  int    // optional: its own index; 0 lets the kernel choose
	MTU    int    // bytes; optional: 0 takes the parent's
}

// AddIpvlan makes an ipvlan. A taken name or index is ErrExists, a kernel that
// has no ipvlan ErrUnsupported, and a parent that carries macvlans, or ipvlans in
// another mode, ErrBusy.
func (h *Handle) AddIpvlan(v Ipvlan) error {
	req := createAt(head(v.Index), v.Name, nic.MAC{}, v.MTU)
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(v.Parent))))
	info, data := linkInfo(KindIpvlan)
	data.AddRtAttr(nl.IFLA_IPVLAN_MODE, nl.Uint16Attr(ipvlanL2))
	req.AddData(info)
	err := h.writeAt(req, v.Index)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		err = fmt.Errorf("%w (module ipvlan)", ErrUnsupported)
	case errors.Is(err, unix.EBUSY):
		err = ErrBusy
	}
	if err != nil {
		return fmt.Errorf("make ipvlan %q: %w", v.Name, err)
	}
	return nil
}

// ipvlanL2 is IPVLAN_MODE_L2, linux/if_link.h: the container itself routes and
// finds its neighbours, so that the host needs no routes or rules for it.
const ipvlanL2 = 0

// writeAt is write for a link that asks for an index, or 0.
func (h *Handle) writeAt(req *nl.NetlinkRequest, index int) error {
	err := h.write(req)
	if index != 0 && errors.Is(err, unix.EBUSY) { // what some kernels say of a taken index
		return ErrExists
	}
	return err
}

func create(name string, mac nic.MAC, mtu int) *nl.NetlinkRequest {
	return createAt(head(0), name, mac, mtu)
}

func createAt(msg *nl.IfInfomsg, name string, mac nic.MAC, mtu int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	if !mac.IsZero() {
		req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, mac[:]))
	}
	if mtu > 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	return req
}

// linkInfo is the nest that says the kind, and the one inside for its settings.
func linkInfo(kind string) (info, data *nl.RtAttr) {
	info = nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	return info, info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
}
