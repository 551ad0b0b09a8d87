//go:build linux

package link

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// IndexOf looks up the index of the link with that name or alternative name.
// Without one it returns ErrNotFound. It is no message: the kernel answers
// without its lock for links, which a move holds for 20 ms.
func (h *Handle) IndexOf(name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err == nil {
		err = h.ask(unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		return 0, fmt.Errorf("look up index of link %q: %w", name, err)
	}
	return int(req.Uint32()), nil
}

// NameOf is a link of which only index and name are looked up, in the same way.
func (h *Handle) NameOf(index int) (Link, error) {
	req, err := unix.NewIfreq("")
	if err == nil {
		req.SetUint32(uint32(index))
		err = h.ask(unix.SIOCGIFNAME, req)
	}
	if err != nil {
		return Link{}, fmt.Errorf("look up name of link %d: %w", index, err)
	}
	return Link{Index: index, Name: req.Name(), ParentNSID: SameNamespace}, nil
}

// ask asks in the namespace of the handle's socket.
func (h *Handle) ask(what uint, req *unix.Ifreq) error {
	err := unix.IoctlIfreq(h.sockets[unix.NETLINK_ROUTE].Socket.GetFd(), what, req)
	if errors.Is(err, unix.ENODEV) {
		return ErrNotFound
	}
	return err
}
