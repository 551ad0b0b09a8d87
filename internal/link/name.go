//go:build linux

package link

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// IndexOf looks up the index of the link with that name or alternative name.
// Without one it returns ErrNotFound. It is no message: the kernel answers
// without its lock for links, which a move holds for 20 ms. Nor is it SIOCGIFINDEX,
// at which the kernel runs modprobe for a name that it does not know, and waits. It
// needs CAP_NET_RAW.
func (h *Handle) IndexOf(name string) (index int, err error) {
	if name == "" || len(name) >= unix.IFNAMSIZ { // none would be asked for, or a shorter one
		err = unix.EINVAL
	} else {
		index, err = h.boundTo(name)
	}
	if err != nil {
		return 0, fmt.Errorf("look up index of link %q: %w", name, err)
	}
	return index, nil
}

// boundTo has the kernel look up a name by binding the socket to the link for a
// moment, which means nothing to a socket for rtnetlink.
func (h *Handle) boundTo(name string) (index int, err error) {
	h.naming.Lock()
	defer h.naming.Unlock()
	fd := h.sockets[unix.NETLINK_ROUTE].Socket.GetFd()
	err = unix.BindToDevice(fd, name)
	if errors.Is(err, unix.ENODEV) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	index, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX)
	return index, errors.Join(err, unix.BindToDevice(fd, ""))
}

// NameOf is a link of which only index and name are looked up, without that lock either.
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
