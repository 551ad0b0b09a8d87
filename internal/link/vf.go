//go:build linux

package link

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// A PF is a physical function with what it says of its VFs.
type PF struct {
	Link
	// VFs are by number; one that the driver says nothing of is missing.
	VFs map[int]nic.VFSettings
}

// PF reads a link and the settings of all its VFs, in one message. A link without
// VFs has none.
func (h *Handle) PF(index int) (PF, error) {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	l, raw, err := h.oneRaw(msg, nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(filterVF|skipStatistics)))
	if err != nil {
		return PF{}, fmt.Errorf("look up the VFs of link %d: %w", index, err)
	}
	vfs, err := parseVFs(raw)
	if err != nil {
		return PF{}, fmt.Errorf("read the VFs of link %q: %w", l.Name, err)
	}
	return PF{Link: l, VFs: vfs}, nil
}

// filterVF is RTEXT_FILTER_VF, linux/rtnetlink.h.
const filterVF = 1 << 0

// A VFChange is what one message has a PF set of a VF. All fields are optional;
// what is unset stays as it is.
type VFChange struct {
	// MAC that is zero lets the VF draw its own again.
	MAC *nic.MAC
	// VLAN with the id 0 takes the tag away.
	VLAN       *nic.VFVLAN
	SpoofCheck *bool
	Trust      *bool
	Link       nic.VFLink
	Rate       *nic.VFRate
}

// SetVF has the PF with the index set one of its VFs. The driver takes the fields one by
// one, MAC first, then VLAN, rate, spoof check, link and trust, and leaves the
// first part done when it refuses a later one; it does not say which.
func (h *Handle) SetVF(pf Link, vf int, c VFChange) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	req.AddData(head(pf.Index))
	list := nl.NewRtAttr(unix.IFLA_VFINFO_LIST|unix.NLA_F_NESTED, nil)
	c.fill(list.AddRtAttr(nl.IFLA_VF_INFO|unix.NLA_F_NESTED, nil), uint32(vf))
	req.AddData(list)
	if err := h.write(req); err != nil {
		return fmt.Errorf("set VF %d of %q: %w", vf, pf.Name, err)
	}
	return nil
}

func (c VFChange) fill(info *nl.RtAttr, vf uint32) {
	words := func(kind int, values ...uint32) {
		data := binary.NativeEndian.AppendUint32(nil, vf)
		for _, v := range values {
			data = binary.NativeEndian.AppendUint32(data, v)
		}
		info.AddRtAttr(kind, data)
	}
	if c.MAC != nil {
		data := make([]byte, vfMACSize)
		native.PutUint32(data, vf)
		copy(data[4:], c.MAC[:])
		info.AddRtAttr(nl.IFLA_VF_MAC, data)
	}
	if v := c.VLAN; v != nil && v.Protocol == "" {
		words(nl.IFLA_VF_VLAN, uint32(v.ID), uint32(v.QoS)) // what drivers without service tags know too
	} else if v != nil {
		data := binary.NativeEndian.AppendUint32(nil, vf)
		data = binary.NativeEndian.AppendUint32(data, uint32(v.ID))
		data = binary.NativeEndian.AppendUint32(data, uint32(v.QoS))
		data = binary.BigEndian.AppendUint16(data, unix.ETH_P_8021AD)
		info.AddRtAttr(nl.IFLA_VF_VLAN_LIST|unix.NLA_F_NESTED, nil).AddRtAttr(nl.IFLA_VF_VLAN_INFO, append(data, 0, 0))
	}
	if r := c.Rate; r != nil {
		words(nl.IFLA_VF_RATE, uint32(r.Min), uint32(r.Max))
	}
	if c.SpoofCheck != nil {
		words(nl.IFLA_VF_SPOOFCHK, oneIf(*c.SpoofCheck))
	}
	if c.Link != "" {
		words(nl.IFLA_VF_LINK_STATE, linkStates[c.Link])
	}
	if c.Trust != nil {
		words(nl.IFLA_VF_TRUST, oneIf(*c.Trust))
	}
}

// Sizes and places in linux/if_link.h: a VF's number and a hardware address of 32.
const vfMACSize = 4 + 32

var linkStates = map[nic.VFLink]uint32{
	nic.VFLinkAuto: nl.IFLA_VF_LINK_STATE_AUTO, nic.VFLinkOn: nl.IFLA_VF_LINK_STATE_ENABLE, nic.VFLinkOff: nl.IFLA_VF_LINK_STATE_DISABLE,
}

func oneIf(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// parseVFs reads a whole message about a link.
func parseVFs(m []byte) (map[int]nic.VFSettings, error) {
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
	if err != nil {
		return nil, err
	}
	vfs := map[int]nic.VFSettings{}
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED != unix.IFLA_VFINFO_LIST {
			continue
		}
		infos, err := nl.ParseRouteAttr(a.Value)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			fields, err := nl.ParseRouteAttr(info.Value)
			if err != nil {
				return nil, err
			}
			vf, s := -1, nic.VFSettings{}
			for _, f := range fields {
				parseVF(&vf, &s, f.Attr.Type&^unix.NLA_F_NESTED, f.Value)
			}
			if vf >= 0 {
				vfs[vf] = s
			}
		}
	}
	return vfs, nil
}

// parseVF reads one field of a VF. Nearly all begin with the VF's number.
func parseVF(vf *int, s *nic.VFSettings, kind uint16, b []byte) {
	word := func(at int) int {
		if len(b) < 4*at+4 {
			return 0
		}
		return int(int32(native.Uint32(b[4*at:])))
	}
	switch kind {
	case nl.IFLA_VF_MAC:
		if len(b) >= 4+6 {
			*vf, s.MAC = word(0), nic.MAC(b[4:4+6])
		}
	case nl.IFLA_VF_VLAN:
		if s.VLAN == nil { // the list has come first, and says more
			s.VLAN = &nic.VFVLAN{}
		}
		s.VLAN.ID, s.VLAN.QoS = word(1), word(2)
	case nl.IFLA_VF_VLAN_LIST:
		first := child(b, nl.IFLA_VF_VLAN_INFO)
		if len(first) < 14 {
			return
		}
		if s.VLAN == nil {
			s.VLAN = &nic.VFVLAN{}
		}
		if binary.BigEndian.Uint16(first[12:]) == unix.ETH_P_8021AD {
			s.VLAN.Protocol = nic.VLAN8021AD
		}
	case nl.IFLA_VF_RATE:
		s.Rate = &nic.VFRate{Min: word(1), Max: word(2)}
	case nl.IFLA_VF_SPOOFCHK:
		s.SpoofCheck = told(word(1))
	case nl.IFLA_VF_TRUST:
		s.Trust = told(word(1))
	case nl.IFLA_VF_LINK_STATE:
		for name, state := range linkStates {
			if int(state) == word(1) {
				s.Link = name
			}
		}
	}
}

// told reads a switch; -1 is the kernel's word for a driver that does not tell.
func told(state int) *bool {
	if state < 0 {
		return nil
	}
	return new(state != 0)
}
