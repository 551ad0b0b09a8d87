//go:build linux

package link

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// The kinds of software link that we make.
const (
	KindVeth    = "veth"
	KindMacvlan = "macvlan"
	KindIpvlan  = "ipvlan"
	KindVLAN    = "vlan"
	KindBridge  = "bridge"
)

// SameNamespace is a Link's ParentNSID when its parent or peer, if it has one,
// is in the link's own namespace.
const SameNamespace = -1

// A Link is what the kernel says of a network interface.
type Link struct {
	Index    int
	Name     string
	Alias    string
	AltNames []string
	// Kind is the driver's word, such as "veth"; empty for hardware.
	Kind string
	// PCI is the address of the function that the link is the interface of, such as
	// 0000:03:10.1. It is empty for what is no PCI function itself, such as a
	// virtio NIC, and on kernels before 5.14.
	PCI string
	MAC nic.MAC
	// PermMAC is the address burnt in; zero where the driver knows none.
	PermMAC nic.MAC
	MTU     int
	// Master is the index of the bridge or bond above; 0 without one.
	Master int
	// ParentIndex is the link below a macvlan, ipvlan or VLAN, or the peer of a veth, in the
	// namespace that ParentNSID names as this namespace counts them.
	ParentIndex int
	ParentNSID  int
	Up          bool
	// Running: the kernel has taken note of the carrier, some time after Up.
	// A bridge lets nothing through the link's port before.
	Running bool
	// Carries: it has noted that the link may carry frames. Running says so too
	// of a link that the kernel has not looked at since it was made, or never
	// does because its driver tells of no carrier.
	Carries  bool
	Loopback bool
	// Promisc, AllMulti: somebody switched it on by hand.
	Promisc  bool
	AllMulti bool
	XDP      XDP
	Tuning   Tuning
	VLAN     int          // of a VLAN, its tag
	Bond     *BondState   // of a bond
	Member   *MemberState // of a bond's member

	tsoSize, tsoSegs int // what the driver can do at most
}

// HasName says whether the link goes by name, also as an alternative name.
func (l Link) HasName(name string) bool {
	if l.Name == name {
		return true
	}
	for _, alt := range l.AltNames {
		if alt == name {
			return true
		}
	}
	return false
}

// Links lists all links of the namespace.
func (h *Handle) Links() ([]Link, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(noStatistics())
	msgs, err := h.dump(req, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("list links of %s: %w", h.ns.ID(), err)
	}
	links := make([]Link, 0, len(msgs))
	for _, m := range msgs {
		l, err := parse(m)
		if err != nil {
			return nil, fmt.Errorf("list links of %s: %w", h.ns.ID(), err)
		}
		links = append(links, l)
	}
	return links, nil
}

// ByIndex looks one link up. Without one it returns ErrNotFound.
func (h *Handle) ByIndex(index int) (Link, error) {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	l, err := h.one(msg, noStatistics())
	if err != nil {
		return Link{}, fmt.Errorf("look up link %d: %w", index, err)
	}
	return l, nil
}

// ByName looks one link up by name or alternative name. Without one it returns
// ErrNotFound.
func (h *Handle) ByName(name string) (Link, error) {
	l, err := h.one(nl.NewIfInfomsg(unix.AF_UNSPEC), noStatistics(),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	if err != nil {
		return Link{}, fmt.Errorf("look up link %q: %w", name, err)
	}
	return l, nil
}

// ByAlias lists the links that carry the alias. The kernel finds none by it,
// so this reads the whole table.
func (h *Handle) ByAlias(alias string) ([]Link, error) {
	all, err := h.Links()
	if err != nil {
		return nil, err
	}
	var found []Link
	for _, l := range all {
		if l.Alias == alias {
			found = append(found, l)
		}
	}
	return found, nil
}

func (h *Handle) one(msg *nl.IfInfomsg, attrs ...*nl.RtAttr) (Link, error) {
	l, _, err := h.oneRaw(msg, attrs...)
	return l, err
}

// oneRaw is one with the kernel's whole answer.
func (h *Handle) oneRaw(msg *nl.IfInfomsg, attrs ...*nl.RtAttr) (Link, []byte, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.AddData(msg)
	for _, a := range attrs {
		req.AddData(a)
	}
	msgs, err := h.get(req)
	if errors.Is(err, unix.ENODEV) || err == nil && len(msgs) == 0 {
		return Link{}, nil, ErrNotFound
	}
	if err != nil {
		return Link{}, nil, err
	}
	l, err := parse(msgs[0])
	return l, msgs[0], err
}

// NSID is the number by which links of this namespace refer to other in their
// ParentNSID, or SameNamespace while none does.
func (h *Handle) NSID(other *netns.Namespace) (int, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETNSID, 0)
	req.AddData(&nl.RtGenMsg{})
	req.AddData(nl.NewRtAttr(unix.NETNSA_FD, nl.Uint32Attr(uint32(other.FD()))))
	msgs, err := h.get(req)
	if err != nil {
		return 0, fmt.Errorf("look up number of namespace %s in %s: %w", other.ID(), h.ns.ID(), err)
	}
	for _, m := range msgs {
		attrs, err := nl.ParseRouteAttr(m[(&nl.RtGenMsg{}).Len():])
		if err != nil {
			return 0, fmt.Errorf("read number of namespace %s: %w", other.ID(), err)
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.NETNSA_NSID && len(a.Value) >= 4 {
				return int(int32(native.Uint32(a.Value))), nil
			}
		}
	}
	return SameNamespace, nil
}

// operUp is IF_OPER_UP, linux/if.h.
const operUp = 6

// skipStatistics is RTEXT_FILTER_SKIP_STATS, linux/rtnetlink.h.
const skipStatistics = 1 << 3

// noStatistics asks for short answers: the counters are most of a long one.
func noStatistics() *nl.RtAttr {
	return nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics))
}

func parse(m []byte) (Link, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return Link{}, errors.New("read link: answer is too short")
	}
	head := nl.DeserializeIfInfomsg(m)
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
	if err != nil {
		return Link{}, fmt.Errorf("read link %d: %w", head.Index, err)
	}
	l := Link{
		Index:      int(head.Index),
		ParentNSID: SameNamespace,
		Up:         head.Flags&unix.IFF_UP != 0,
		Running:    head.Flags&unix.IFF_RUNNING != 0,
		Loopback:   head.Flags&unix.IFF_LOOPBACK != 0,
		Promisc:    head.Flags&unix.IFF_PROMISC != 0,
		AllMulti:   head.Flags&unix.IFF_ALLMULTI != 0,
		Tuning:     Tuning{Odd: head.Flags&oddFlags != 0 || head.Flags&unix.IFF_MULTICAST == 0},
	}
	bus := ""
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			l.Name = text(a.Value)
		case unix.IFLA_IFALIAS:
			l.Alias = text(a.Value)
		case unix.IFLA_ADDRESS:
			l.MAC = mac(a.Value)
		case unix.IFLA_PERM_ADDRESS:
			l.PermMAC = mac(a.Value)
		case unix.IFLA_MTU:
			l.MTU = number(a.Value)
		case unix.IFLA_MASTER:
			l.Master = number(a.Value)
		case unix.IFLA_LINK:
			l.ParentIndex = number(a.Value)
		case unix.IFLA_LINK_NETNSID:
			l.ParentNSID = number(a.Value)
		case unix.IFLA_LINKINFO:
			l.Kind = text(child(a.Value, nl.IFLA_INFO_KIND))
			l.parseBonding(a.Value)
			l.parseVLAN(a.Value)
		case unix.IFLA_PARENT_DEV_NAME:
			l.PCI = text(a.Value)
		case unix.IFLA_PARENT_DEV_BUS_NAME:
			bus = text(a.Value)
		case unix.IFLA_OPERSTATE:
			l.Carries = len(a.Value) > 0 && a.Value[0] == operUp
		case unix.IFLA_XDP:
			l.XDP = parseXDP(a.Value)
		case unix.IFLA_PROP_LIST:
			l.AltNames = texts(a.Value, unix.IFLA_ALT_IFNAME)
		default:
			l.parseTuning(a.Attr.Type, a.Value)
		}
	}
	if bus != "pci" {
		l.PCI = ""
	}
	return l, nil
}

func child(nest []byte, kind uint16) []byte {
	attrs, err := nl.ParseRouteAttr(nest)
	if err != nil {
		return nil
	}
	for _, a := range attrs {
		if a.Attr.Type == kind {
			return a.Value
		}
	}
	return nil
}

func texts(nest []byte, kind uint16) (out []string) {
	attrs, err := nl.ParseRouteAttr(nest)
	if err != nil {
		return nil
	}
	for _, a := range attrs {
		if a.Attr.Type == kind {
			out = append(out, text(a.Value))
		}
	}
	return out
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func number(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(int32(native.Uint32(b)))
}

// mac leaves addresses that are not Ethernet's, such as InfiniBand's, zero.
func mac(b net.HardwareAddr) nic.MAC {
	if len(b) != 6 {
		return nic.MAC{}
	}
	return nic.MAC(b)
}
