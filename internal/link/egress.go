//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// BlockEgress has the link drop what it is to send to the addresses, and nothing
// else, in the place of what an earlier call said. A route cannot do that: a socket
// that is bound to the link takes whatever no route leads to for on-link. The
// filter goes when the link leaves its namespace.
func (h *Handle) BlockEgress(l Link, to []netip.Addr) error {
	return blocked(h.setProgram, l, to)
}

// BlockEgressAnew is BlockEgress for a link that has just come to its namespace, and so
// has no filter yet: it saves the look.
func (h *Handle) BlockEgressAnew(l Link, to []netip.Addr) error {
	return blocked(h.replaceProgram, l, to)
}

func blocked(set func(Link, side, []byte) error, l Link, to []netip.Addr) error {
	if err := set(l, egress, blocking(to)); err != nil {
		return fmt.Errorf("filter what link %q sends to %s: %w", l.Name, to, err)
	}
	return nil
}

// UnblockEgress takes the filter off. One that is not there is no error.
func (h *Handle) UnblockEgress(l Link) error { return h.dropProgram(l, egress) }

// Where an Ethernet frame has its type and the destinations, in bytes.
const (
	frameType = 12
	frameTo4  = 14 + 16
	frameTo6  = 14 + 24
)

// blocking is a classic BPF program over Ethernet frames, as bytes.
func blocking(to []netip.Addr) []byte {
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
	program := make([]bpf.RawInstruction, 0, len(all))
	for _, f := range all {
		program = append(program, bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K})
	}
	return encode(program)
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
