//go:build linux

package link

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Where the kernel's traffic control has our programs: linux/pkt_sched.h.
const (
	clsact       = 0xffff_fff1 // TC_H_CLSACT, the place for the two below
	clsactHandle = 0xffff_0000
	filterPrio   = 1 // before all others
	filterHandle = 1
)

// A side of a link is where a program looks at what passes.
type side uint32

const (
	ingress side = 0xffff_fff2 // of clsact, TC_H_MIN_INGRESS: what the link receives
	egress  side = 0xffff_fff3 // TC_H_MIN_EGRESS: what it sends
)

// What a program answers: linux/pkt_cls.h.
const (
	actNext = 0xffff_ffff // TC_ACT_UNSPEC: ask the next filter
	actDrop = 2           // TC_ACT_SHOT
)

// setProgram has the program, as bytes, decide on one side of the link, in the place
// of an earlier one. It changes nothing where nothing differs.
func (h *Handle) setProgram(l Link, at side, program []byte) error {
	has, err := h.program(l, at)
	if err != nil || bytes.Equal(has, program) {
		return err
	}
	return h.replaceProgram(l, at, program)
}

// replaceProgram is setProgram without a look at what is there.
func (h *Handle) replaceProgram(l Link, at side, program []byte) error {
	if err := h.AddFilterPlace(l); err != nil {
		return err
	}
	req := filterRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, l, at)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(program)/unix.SizeofSockFilter)))
	options.AddRtAttr(nl.TCA_BPF_OPS, program)
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	req.AddData(options)
	if err := h.write(req); err != nil {
		return fmt.Errorf("set filter (module cls_bpf) on link %q: %w", l.Name, err)
	}
	return nil
}

// AddFilterPlace makes the place for filters on a link, unless it is there. To make
// it the kernel takes the queues of a link that is up away for some milliseconds:
// what the link is to send meanwhile is lost.
func (h *Handle) AddFilterPlace(l Link) error {
	req := trafficRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, l, nl.TcMsg{Handle: clsactHandle, Parent: clsact})
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("clsact")))
	if err := h.write(req); err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("make clsact (module sch_ingress) on link %q: %w", l.Name, err)
	}
	return nil
}

// HasFilterPlace tells if the link has the place for filters already, and so whether
// it costs traffic nothing to set one.
func (h *Handle) HasFilterPlace(l Link) (bool, error) {
	msgs, err := h.dump(trafficRequest(unix.RTM_GETQDISC, 0, l, nl.TcMsg{}), unix.RTM_NEWQDISC)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil // a kernel without traffic control
	}
	if err != nil {
		return false, fmt.Errorf("list the queues of link %q: %w", l.Name, err)
	}
	for _, m := range msgs {
		if len(m) < nl.SizeofTcMsg {
			return false, fmt.Errorf("list the queues of link %q: answer is too short", l.Name)
		}
		if at := nl.DeserializeTcMsg(m); int(at.Ifindex) == l.Index && at.Handle == clsactHandle {
			return true, nil
		}
	}
	return false, nil
}

// dropProgram takes our program off one side of the link. None there is no error.
func (h *Handle) dropProgram(l Link, at side) error {
	has, err := h.program(l, at)
	if err != nil || has == nil {
		return err
	}
	req := filterRequest(unix.RTM_DELTFILTER, 0, l, at)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	if err := h.write(req); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("take the filter off link %q: %w", l.Name, err)
	}
	return nil
}

// program is the one in our place on one side of the link, or nil.
func (h *Handle) program(l Link, on side) ([]byte, error) {
	req := trafficRequest(unix.RTM_GETTFILTER, 0, l, nl.TcMsg{Parent: uint32(on)})
	msgs, err := h.dump(req, unix.RTM_NEWTFILTER)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil // a kernel without filters
	}
	if err != nil {
		return nil, fmt.Errorf("list the filters of link %q: %w", l.Name, err)
	}
	for _, m := range msgs {
		if len(m) < nl.SizeofTcMsg {
			return nil, fmt.Errorf("list the filters of link %q: answer is too short", l.Name)
		}
		at := nl.DeserializeTcMsg(m)
		if int(at.Ifindex) != l.Index || at.Info>>16 != filterPrio || at.Handle != filterHandle {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofTcMsg:])
		if err != nil {
			return nil, fmt.Errorf("list the filters of link %q: %w", l.Name, err)
		}
		for _, a := range attrs {
			if a.Attr.Type == nl.TCA_OPTIONS {
				return append([]byte{}, child(a.Value, nl.TCA_BPF_OPS)...), nil
			}
		}
	}
	return nil, nil
}

func trafficRequest(verb, flags int, l Link, msg nl.TcMsg) *nl.NetlinkRequest {
	msg.Ifindex = int32(l.Index)
	req := nl.NewNetlinkRequest(verb, flags)
	req.AddData(&msg)
	return req
}

func filterRequest(verb, flags int, l Link, at side) *nl.NetlinkRequest {
	protocol := uint32(nl.Swap16(unix.ETH_P_ALL))
	return trafficRequest(verb, flags, l, nl.TcMsg{Handle: filterHandle, Parent: uint32(at), Info: filterPrio<<16 | protocol})
}
