//go:build linux

package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Where the kernel's traffic control has our filter: linux/pkt_sched.h.
const (
	clsact       = 0xffff_fff1 // TC_H_CLSACT, the place for the two below
	clsactHandle = 0xffff_0000
	egress       = 0xffff_fff3 // of it, TC_H_MIN_EGRESS
	filterPrio   = 1           // before all others
	filterHandle = 1
)

// BlockEgress has the link drop what it is to send to the addresses, and nothing
// else, in the place of what an earlier call said. A route cannot do that: a socket
// that is bound to the link takes whatever no route leads to for on-link. The
// filter goes when the link leaves its namespace.
func (h *Handle) BlockEgress(l Link, to []netip.Addr) error {
	program := dropProgram(to)
	has, err := h.egressProgram(l)
	if err != nil || bytes.Equal(has, program) {
		return err
	}
	req := trafficRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, l, nl.TcMsg{Handle: clsactHandle, Parent: clsact})
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("clsact")))
	if err := h.write(req); err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("make clsact (module sch_ingress) on link %q: %w", l.Name, err)
	}
	req = filterRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, l)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(program)/unix.SizeofSockFilter)))
	options.AddRtAttr(nl.TCA_BPF_OPS, program)
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	req.AddData(options)
	if err := h.write(req); err != nil {
		return fmt.Errorf("filter (module cls_bpf) what link %q sends to %s: %w", l.Name, to, err)
	}
	return nil
}

// HasEgress tells if the link has the place for the filter already, and so whether
// BlockEgress need not make it. To make it the kernel takes the queues of a link
// that is up away for some milliseconds: what the link is to send meanwhile is lost.
func (h *Handle) HasEgress(l Link) (bool, error) {
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

// UnblockEgress takes the filter off. One that is not there is no error.
func (h *Handle) UnblockEgress(l Link) error {
	has, err := h.egressProgram(l)
	if err != nil || has == nil {
		return err
	}
	req := filterRequest(unix.RTM_DELTFILTER, 0, l)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	if err := h.write(req); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("take the filter off what link %q sends: %w", l.Name, err)
	}
	return nil
}

// egressProgram is the program of the filter in our place, or nil.
func (h *Handle) egressProgram(l Link) ([]byte, error) {
	req := trafficRequest(unix.RTM_GETTFILTER, 0, l, nl.TcMsg{Parent: egress})
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

func filterRequest(verb, flags int, l Link) *nl.NetlinkRequest {
	protocol := uint32(nl.Swap16(unix.ETH_P_ALL))
	return trafficRequest(verb, flags, l, nl.TcMsg{Handle: filterHandle, Parent: egress, Info: filterPrio<<16 | protocol})
}

// Where an Ethernet frame has its type and the destinations, in bytes.
const (
	frameType = 12
	frameTo4  = 14 + 16
	frameTo6  = 14 + 24
)

// What a program answers: linux/pkt_cls.h.
const (
	actNext = 0xffff_ffff // TC_ACT_UNSPEC: ask the next filter
	actDrop = 2           // TC_ACT_SHOT
)

// dropProgram is a classic BPF program over Ethernet frames, as bytes.
func dropProgram(to []netip.Addr) []byte {
	var v4, v6 []unix.SockFilter
	for _, addr := range to {
		if addr.Is4() {
			v4 = append(v4, match(frameTo4, addr.AsSlice())...)
		} else {
			v6 = append(v6, match(frameTo6, addr.AsSlice())...)
		}
	}
	next := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: actNext}
	v4, v6 = append(v4, next), append(v6, next)
	all := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: frameType}}
	for _, family := range []struct {
		kind uint32
		then []unix.SockFilter
	}{{unix.ETH_P_IP, v4}, {unix.ETH_P_IPV6, v6}} {
		// A jump goes by 255 at most, which is 28 IPv6 addresses.
		all = append(all, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: family.kind, Jf: uint8(len(family.then))})
		all = append(all, family.then...)
	}
	all = append(all, next)
	var b []byte
	for _, f := range all {
		b = binary.NativeEndian.AppendUint16(b, f.Code)
		b = append(b, f.Jt, f.Jf)
		b = binary.NativeEndian.AppendUint32(b, f.K)
	}
	return b
}

// match drops a frame that has the bytes at the offset, four by four, and else
// goes on behind.
func match(at uint32, want []byte) (out []unix.SockFilter) {
	words := len(want) / 4
	for i := range words {
		behind := 2*(words-i-1) + 1
		out = append(out,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at + uint32(4*i)},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(want[4*i:]), Jf: uint8(behind)})
	}
	return append(out, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: actDrop})
}
