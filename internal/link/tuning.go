//go:build linux

package link

import (
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// Tuning is what else an owner can set on a link and a move leaves as it is.
// A value that the kernel does not tell is zero.
type Tuning struct {
	TxQueue   int // packets
	Group     int
	GSOSize   int // bytes
	GSOSegs   int
	GROSize   int // bytes
	Broadcast nic.MAC
	// Dormant: it waits for somebody to call it ready.
	Dormant bool
	// ProtoDown: held down by a protocol.
	ProtoDown bool
	// Odd: no ARP, no multicast, or another flag that no Ethernet link has.
	Odd bool
}

// The kernel's defaults for Ethernet.
const (
	defaultTxQueue = 1000
	defaultGSOSize = 1 << 16
	defaultGSOSegs = 1<<16 - 1
)

// oddFlags are those that an owner can set, besides the ones that Change names.
const oddFlags = unix.IFF_NOARP | unix.IFF_DEBUG | unix.IFF_NOTRAILERS |
	unix.IFF_PORTSEL | unix.IFF_AUTOMEDIA | unix.IFF_DYNAMIC

// Untuned is the kernel's tuning for an Ethernet link, within what the link's
// driver can do.
func (l Link) Untuned() Tuning {
	t := Tuning{
		TxQueue: defaultTxQueue, Broadcast: nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		GSOSize: l.Tuning.GSOSize, GSOSegs: l.Tuning.GSOSegs, GROSize: l.Tuning.GROSize,
	}
	if l.tsoSize > 0 && l.tsoSegs > 0 { // else the driver's limits are not known
		t.GSOSize, t.GSOSegs = min(defaultGSOSize, l.tsoSize), min(defaultGSOSegs, l.tsoSegs)
	}
	if t.GROSize > 0 {
		t.GROSize = defaultGSOSize
	}
	return t
}

// parseTuning reads one attribute, if it is about tuning.
func (l *Link) parseTuning(kind uint16, value []byte) {
	switch kind {
	case unix.IFLA_TXQLEN:
		l.Tuning.TxQueue = number(value)
	case unix.IFLA_GROUP:
		l.Tuning.Group = number(value)
	case unix.IFLA_GSO_MAX_SIZE:
		l.Tuning.GSOSize = number(value)
	case unix.IFLA_GSO_MAX_SEGS:
		l.Tuning.GSOSegs = number(value)
	case unix.IFLA_GRO_MAX_SIZE:
		l.Tuning.GROSize = number(value)
	case unix.IFLA_TSO_MAX_SIZE:
		l.tsoSize = number(value)
	case unix.IFLA_TSO_MAX_SEGS:
		l.tsoSegs = number(value)
	case unix.IFLA_BROADCAST:
		l.Tuning.Broadcast = mac(value)
	case unix.IFLA_LINKMODE:
		l.Tuning.Dormant = len(value) > 0 && value[0] != 0
	case unix.IFLA_PROTO_DOWN:
		l.Tuning.ProtoDown = len(value) > 0 && value[0] != 0
	}
}

// addTuning asks for what differs alone: hardware may refuse the rest even
// where nothing would change.
func addTuning(req *nl.NetlinkRequest, was, want Tuning) {
	for _, n := range []struct{ kind, was, want int }{
		{unix.IFLA_TXQLEN, was.TxQueue, want.TxQueue},
		{unix.IFLA_GROUP, was.Group, want.Group},
		{unix.IFLA_GSO_MAX_SIZE, was.GSOSize, want.GSOSize},
		{unix.IFLA_GSO_MAX_SEGS, was.GSOSegs, want.GSOSegs},
		{unix.IFLA_GRO_MAX_SIZE, was.GROSize, want.GROSize},
	} {
		if n.was != n.want {
			req.AddData(nl.NewRtAttr(n.kind, nl.Uint32Attr(uint32(n.want))))
		}
	}
	if was.Broadcast != want.Broadcast {
		req.AddData(nl.NewRtAttr(unix.IFLA_BROADCAST, want.Broadcast[:]))
	}
	if was.Dormant && !want.Dormant {
		req.AddData(nl.NewRtAttr(unix.IFLA_LINKMODE, nl.Uint8Attr(0)))
	}
	if was.ProtoDown && !want.ProtoDown {
		req.AddData(nl.NewRtAttr(unix.IFLA_PROTO_DOWN, nl.Uint8Attr(0)))
	}
}

// XDP says in which of the kernel's modes a program is attached to a link.
type XDP struct{ Generic, Driver, Hardware bool }

// Any says whether there is one.
func (x XDP) Any() bool { return x != XDP{} }

// modes are the flags that name them to the kernel.
func (x XDP) modes() (flags []uint32) {
	if x.Generic {
		flags = append(flags, nl.XDP_FLAGS_SKB_MODE)
	}
	if x.Driver {
		flags = append(flags, nl.XDP_FLAGS_DRV_MODE)
	}
	if x.Hardware {
		flags = append(flags, xdpHardwareMode)
	}
	return flags
}

// linux/if_link.h: a mode's flag, and the attributes with each mode's program.
const (
	xdpHardwareMode    = 1 << 3
	xdpDriverProgram   = 5
	xdpGenericProgram  = 6
	xdpHardwareProgram = 7
)

func parseXDP(nest []byte) XDP {
	return XDP{
		Driver:   number(child(nest, xdpDriverProgram)) != 0,
		Generic:  number(child(nest, xdpGenericProgram)) != 0,
		Hardware: number(child(nest, xdpHardwareProgram)) != 0,
	}
}
