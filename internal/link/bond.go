//go:build linux

package link

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// KindBond is the kind of a bond.
const KindBond = "bond"

// A Bond is one to be made, down and without members. The kernel lets none change
// its namespace. Members are taken in by [Change.Master] while they are down; that
// sets them up.
type Bond struct {
	Name    string        // required
	MAC     nic.MAC       // optional: zero takes the first member's
	MTU     int           // bytes; optional
	Mode    nic.BondMode  // required
	Monitor time.Duration // required: how often the members' links are looked at, in whole milliseconds
	// FollowMAC: the bond takes the MAC of the member that sends, and sets none of theirs.
	// In BondActiveBackup only.
	FollowMAC bool
	Primary   int // index of the member to send by while it can; optional, in the modes with one sender
}

// AddBond makes a bond in the namespace of the handle. A taken name is ErrExists,
// and a kernel that has no bonds ErrUnsupported.
func (h *Handle) AddBond(b Bond) error {
	mode, known := bondModes[b.Mode]
	if !known {
		return fmt.Errorf("make bond %q: mode %q is unknown", b.Name, b.Mode)
	}
	req := createAt(head(0), b.Name, b.MAC, b.MTU)
	info, data := linkInfo(KindBond)
	data.AddRtAttr(nl.IFLA_BOND_MODE, nl.Uint8Attr(mode))
	data.AddRtAttr(nl.IFLA_BOND_MIIMON, nl.Uint32Attr(uint32(b.Monitor.Milliseconds())))
	if b.FollowMAC {
		data.AddRtAttr(nl.IFLA_BOND_FAIL_OVER_MAC, nl.Uint8Attr(followActive))
	}
	if b.Mode == nic.BondXOR { // by MACs alone, all that goes by a gateway would leave by one member
		data.AddRtAttr(nl.IFLA_BOND_XMIT_HASH_POLICY, nl.Uint8Attr(hashStreams))
	}
	if b.Primary != 0 {
		data.AddRtAttr(nl.IFLA_BOND_PRIMARY, nl.Uint32Attr(uint32(b.Primary)))
	}
	req.AddData(info)
	err := h.write(req)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w (module bonding)", ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("make bond %q: %w", b.Name, err)
	}
	return nil
}

// SetPrimary has a bond send by the member with the index while it can, in the modes
// with one sender.
func (h *Handle) SetPrimary(bond Link, member int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
	req.AddData(head(bond.Index))
	info, data := linkInfo(KindBond)
	data.AddRtAttr(nl.IFLA_BOND_PRIMARY, nl.Uint32Attr(uint32(member)))
	req.AddData(info)
	if err := h.write(req); err != nil {
		return fmt.Errorf("prefer member %d of bond %q: %w", member, bond.Name, err)
	}
	return nil
}

// linux/if_bonding.h and bond_options.h.
var bondModes = map[nic.BondMode]uint8{
	nic.BondRoundRobin: 0, nic.BondActiveBackup: 1, nic.BondXOR: 2, nic.Bond8023AD: 4, nic.BondTLB: 5, nic.BondALB: 6,
}

const (
	followActive = 1 // BOND_FOM_ACTIVE
	hashStreams  = 1 // BOND_XMIT_POLICY_LAYER34
)

// A BondState is what the kernel says of a bond.
type BondState struct {
	Mode      nic.BondMode // empty for one that we do not make
	Monitor   time.Duration
	FollowMAC bool
	// Primary and Active are indexes of members, 0 without one: the preferred, and the
	// one that sends, in the modes that have one.
	Primary int
	Active  int
}

// A MemberState is what the kernel says of a link that is a bond's member.
type MemberState struct {
	// Up: the monitor has found its link up. One that has come up a moment ago may
	// not be used yet.
	Up bool
	// Active: it may send.
	Active bool
	// Failures counts how often the monitor has found its link lost.
	Failures int
	// PermMAC is what it had when it was taken in, and gets back.
	PermMAC nic.MAC
}

// parseBonding reads the nest that says what kind of link it is, and what kind of master it has.
func (l *Link) parseBonding(nest []byte) {
	if l.Kind == KindBond {
		l.Bond = parseBond(child(nest, nl.IFLA_INFO_DATA))
	}
	if text(child(nest, nl.IFLA_INFO_SLAVE_KIND)) == KindBond {
		l.Member = parseMember(child(nest, nl.IFLA_INFO_SLAVE_DATA))
	}
}

func parseBond(nest []byte) *BondState {
	b := &BondState{
		Monitor: time.Duration(number(child(nest, nl.IFLA_BOND_MIIMON))) * time.Millisecond,
		Primary: number(child(nest, nl.IFLA_BOND_PRIMARY)),
		Active:  number(child(nest, nl.IFLA_BOND_ACTIVE_SLAVE)),
	}
	if v := child(nest, nl.IFLA_BOND_MODE); len(v) > 0 {
		for name, mode := range bondModes {
			if mode == v[0] {
				b.Mode = name
			}
		}
	}
	if v := child(nest, nl.IFLA_BOND_FAIL_OVER_MAC); len(v) > 0 {
		b.FollowMAC = v[0] == followActive
	}
	return b
}

func parseMember(nest []byte) *MemberState {
	m := &MemberState{Failures: number(child(nest, nl.IFLA_BOND_SLAVE_LINK_FAILURE_COUNT))}
	if v := child(nest, nl.IFLA_BOND_SLAVE_MII_STATUS); len(v) > 0 {
		m.Up = v[0] == 0 // BOND_LINK_UP
	}
	if v := child(nest, nl.IFLA_BOND_SLAVE_STATE); len(v) > 0 {
		m.Active = v[0] == 0 // BOND_STATE_ACTIVE
	}
	m.PermMAC = mac(child(nest, nl.IFLA_BOND_SLAVE_PERM_HWADDR))
	return m
}
