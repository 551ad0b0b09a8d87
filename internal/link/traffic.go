//go:build linux

package link

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// ReadTraffic reads the counters of all links of a namespace in one listing, by
// the links' indexes.
func ReadTraffic(ns *netns.Namespace) (map[int]nic.Traffic, error) {
	h, err := Open(ns)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	msgs, err := h.dump(req, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("read counters of %s: %w", ns.ID(), err)
	}
	all := map[int]nic.Traffic{}
	for _, m := range msgs {
		if len(m) < unix.SizeofIfInfomsg {
			return nil, fmt.Errorf("read counters of %s: answer is too short", ns.ID())
		}
		attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
		if err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", ns.ID(), err)
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.IFLA_STATS64 && len(a.Value) >= 8*8 {
				all[int(nl.DeserializeIfInfomsg(m).Index)] = traffic(a.Value)
			}
		}
	}
	return all, nil
}

// traffic reads struct rtnl_link_stats64, linux/if_link.h.
func traffic(b []byte) nic.Traffic {
	at := func(i int) uint64 { return native.Uint64(b[8*i:]) }
	return nic.Traffic{
		RxPackets: at(0), TxPackets: at(1), RxBytes: at(2), TxBytes: at(3),
		RxErrors: at(4), TxErrors: at(5), RxDropped: at(6), TxDropped: at(7),
	}
}
