//go:build linux

package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
)

// RDMA speaks to the kernel of RDMA devices, which stand beside the links of cards that
// have them. It needs nothing opened.
type RDMA struct{}

// From rdma/rdma_netlink.h, where the library has no name.
const (
	rdmaPortGet    = 5  // RDMA_NLDEV_CMD_PORT_GET
	rdmaPortNetdev = 50 // RDMA_NLDEV_ATTR_NDEV_INDEX
	rdmaShared     = 1
)

// Exclusive says whether an RDMA device is in one network namespace alone. Otherwise each
// is in all of them.
func (RDMA) Exclusive(in *netns.Namespace) (exclusive bool, err error) {
	mode := -1
	err = askRDMA(in, nl.RDMA_NLDEV_CMD_SYS_GET, 0, func(kind uint16, value []byte) {
		if kind == nl.RDMA_NLDEV_SYS_ATTR_NETNS_MODE && len(value) > 0 {
			mode = int(value[0])
		}
	})
	if err == nil && mode < 0 {
		err = errors.New("the kernel, older than 5.3, does not say")
	}
	if err != nil {
		return false, fmt.Errorf("ask whether RDMA devices are in one namespace: %w", err)
	}
	return mode != rdmaShared, nil
}

// Under are the names of the RDMA devices in the namespace that have a port on the link.
func (RDMA) Under(in *netns.Namespace, index int) (names []string, err error) {
	all, err := devicesOf(in)
	if err != nil {
		return nil, fmt.Errorf("list RDMA devices of %s: %w", in.ID(), err)
	}
	for name, device := range all {
		on := false
		err := askRDMA(in, rdmaPortGet, unix.NLM_F_DUMP, func(kind uint16, value []byte) {
			on = on || kind == rdmaPortNetdev && number(value) == index
		}, nl.NewRtAttr(nl.RDMA_NLDEV_ATTR_DEV_INDEX, nl.Uint32Attr(device)))
		if err != nil {
			return nil, fmt.Errorf("look at the ports of RDMA device %q: %w", name, err)
		}
		if on {
			names = append(names, name)
		}
	}
	return names, nil
}

// MoveRDMA moves an RDMA device to another namespace. Without one of the name it is
// ErrNotFound.
func (RDMA) MoveRDMA(name string, from, to *netns.Namespace) error {
	wrap := func(err error) error {
		return fmt.Errorf("move RDMA device %q from %s to %s: %w", name, from.ID(), to.ID(), err)
	}
	all, err := devicesOf(from)
	if err != nil {
		return wrap(err)
	}
	index, found := all[name]
	if !found {
		return wrap(ErrNotFound)
	}
	err = askRDMA(from, nl.RDMA_NLDEV_CMD_SET, 0, func(uint16, []byte) {},
		nl.NewRtAttr(nl.RDMA_NLDEV_ATTR_DEV_INDEX, nl.Uint32Attr(index)),
		nl.NewRtAttr(nl.RDMA_NLDEV_NET_NS_FD, nl.Uint32Attr(uint32(to.FD()))))
	if err != nil {
		return wrap(err)
	}
	return nil
}

// devicesOf are the indexes of a namespace's RDMA devices by name.
func devicesOf(in *netns.Namespace) (map[string]uint32, error) {
	all := map[string]uint32{}
	var index uint32
	err := askRDMA(in, nl.RDMA_NLDEV_CMD_GET, unix.NLM_F_DUMP, func(kind uint16, value []byte) {
		switch kind { // in this order
		case nl.RDMA_NLDEV_ATTR_DEV_INDEX:
			index = uint32(number(value))
		case nl.RDMA_NLDEV_ATTR_DEV_NAME:
			all[text(value)] = index
		}
	})
	return all, err
}

// askRDMA sends one message from inside the namespace and calls each with the attributes
// of the answers.
func askRDMA(in *netns.Namespace, op, flags int, each func(kind uint16, value []byte), attrs ...*nl.RtAttr) error {
	return in.Do(func() error {
		req := nl.NewNetlinkRequest(nl.RDMA_NL_NLDEV<<nl.RDMA_NL_GET_CLIENT_SHIFT|op, unix.NLM_F_ACK|flags)
		for _, a := range attrs {
			req.AddData(a)
		}
		answers, err := req.Execute(unix.NETLINK_RDMA, 0)
		if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ECONNREFUSED) {
			return fmt.Errorf("the kernel has no RDMA (module ib_core): %w", err)
		}
		if err != nil {
			return err
		}
		for _, answer := range answers {
			parsed, err := nl.ParseRouteAttr(answer)
			if err != nil {
				return err
			}
			for _, a := range parsed {
				each(a.Attr.Type&^unix.NLA_F_NESTED, a.Value)
			}
		}
		return nil
	})
}
