//go:build linux

package link

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// AddAltName gives a link one more name to be found by. A name that any link of the
// namespace goes by already, this one too, is ErrExists.
func (h *Handle) AddAltName(l Link, name string) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINKPROP, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_APPEND)
	req.AddData(head(l.Index))
	list := nl.NewRtAttr(unix.IFLA_PROP_LIST|unix.NLA_F_NESTED, nil)
	list.AddRtAttr(unix.IFLA_ALT_IFNAME, nl.ZeroTerminated(name))
	req.AddData(list)
	if err := h.write(req); err != nil {
		return fmt.Errorf("add alternative name %q to link %q: %w", name, l.Name, err)
	}
	return nil
}
