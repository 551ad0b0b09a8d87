//go:build linux

package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
)

// A VLAN is one to be made, down. Unlike a macvlan it goes by a tag of its own on the
// wire, and no two on one parent have the same, in whatever namespaces they are.
type VLAN struct {
	Name   string  // required
	Parent int     // required: index of the link below
	ID     int     // required: the tag, 1 to 4094
	Index  int     // optional: its own index; 0 lets the kernel choose
	MAC    nic.MAC // optional: zero takes the parent's
	MTU    int     // bytes; optional: 0 takes the parent's
}

// AddVLAN makes a VLAN. A taken name, index or tag is ErrExists, and a kernel that has no
// VLANs ErrUnsupported.
func (h *Handle) AddVLAN(v VLAN) error {
	req := createAt(head(v.Index), v.Name, v.MAC, v.MTU)
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(v.Parent))))
	info, data := linkInfo(KindVLAN)
	data.AddRtAttr(nl.IFLA_VLAN_ID, nl.Uint16Attr(uint16(v.ID))) //nolint:gosec // up to 4094
	req.AddData(info)
	err := h.writeAt(req, v.Index)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w (module 8021q)", ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("make VLAN %d as %q: %w", v.ID, v.Name, err)
	}
	return nil
}

// parseVLAN reads the nest that says what kind of link it is.
func (l *Link) parseVLAN(nest []byte) {
	if l.Kind != KindVLAN {
		return
	}
	if id := child(child(nest, nl.IFLA_INFO_DATA), nl.IFLA_VLAN_ID); len(id) >= 2 {
		l.VLAN = int(native.Uint16(id))
	}
}
