//go:build linux

package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tiePrio is behind the filters of this package's other programs.
const tiePrio = 2

// Tie joins a VLAN of one link to another link, in a kernel with or without VLANs of its
// own: what the port receives with the tag is sent by the member without it, and what the
// member receives is sent by the port with it. It ends when either link is gone.
func (h *Handle) Tie(port, member Link, vlan int) error {
	err := h.tie(port, vlan, untag(vlan, member.Index))
	if err == nil {
		if err = h.tie(member, 1, tag(vlan, port.Index)); err != nil {
			err = errors.Join(err, h.Untie(port, vlan))
		}
	}
	if err != nil {
		return fmt.Errorf("tie VLAN %d of link %q to link %q: %w", vlan, port.Name, member.Name, err)
	}
	return nil
}

// Untie leaves what the port receives with the tag to itself. None there is no error. The
// member sends on as before: it is to be deleted.
func (h *Handle) Untie(port Link, vlan int) error {
	req := tieRequest(unix.RTM_DELTFILTER, 0, port, vlan)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	if err := h.write(req); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("untie VLAN %d of link %q: %w", vlan, port.Name, err)
	}
	return nil
}

func tieRequest(verb, flags int, l Link, handle int) *nl.NetlinkRequest {
	protocol := uint32(nl.Swap16(unix.ETH_P_ALL))
	return trafficRequest(verb, flags, l, nl.TcMsg{Handle: uint32(handle), Parent: uint32(ingress), Info: tiePrio<<16 | protocol}) //nolint:gosec // up to 4094
}

// tie has a program decide on what a link receives, besides others.
func (h *Handle) tie(l Link, handle int, program []instruction) error {
	if err := h.AddFilterPlace(l); err != nil {
		return err
	}
	fd, err := load(program)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // the filter holds it
	req := tieRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, l, handle)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_FD, nl.Uint32Attr(uint32(fd))) //nolint:gosec // a descriptor
	options.AddRtAttr(nl.TCA_BPF_NAME, nl.ZeroTerminated("tie"))
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	req.AddData(options)
	if err := h.write(req); err != nil {
		return fmt.Errorf("set filter (module cls_bpf) on link %q: %w", l.Name, err)
	}
	return nil
}

// An instruction is one of eBPF: linux/bpf.h, struct bpf_insn.
type instruction struct {
	code     uint8
	dst, src uint8
	off      int16
	imm      int32
}

// The codes that are used, the places in struct __sk_buff, and the kernel's functions.
const (
	move, moveConst, and = 0xbf, 0xb7, 0x57
	loadWord             = 0x61
	ifEqual, ifNot       = 0x15, 0x55
	call, exit           = 0x85, 0x95

	vlanPresent, vlanTCI = 20, 24

	pushVLAN, popVLAN, redirect = 18, 19, 23
)

// ethP8021Q is the tag's protocol in the network's order.
var ethP8021Q = int32(nl.Swap16(unix.ETH_P_8021Q))

// untag sends what has the tag out of another link, without it.
func untag(vlan, to int) []instruction {
	return []instruction{
		{code: move, dst: 6, src: 1},
		{code: loadWord, dst: 2, src: 6, off: vlanPresent},
		{code: ifEqual, dst: 2, imm: 0, off: 9},
		{code: loadWord, dst: 2, src: 6, off: vlanTCI},
		{code: and, dst: 2, imm: 0xfff},
		{code: ifNot, dst: 2, imm: int32(vlan), off: 6}, //nolint:gosec // up to 4094
		{code: move, dst: 1, src: 6},
		{code: call, imm: popVLAN},
		{code: moveConst, dst: 1, imm: int32(to)}, //nolint:gosec // an index
		{code: moveConst, dst: 2, imm: 0},
		{code: call, imm: redirect},
		{code: exit},
		{code: moveConst, dst: 0, imm: -1}, // ask the next filter
		{code: exit},
	}
}

// tag sends everything out of another link, with the tag.
func tag(vlan, to int) []instruction {
	return []instruction{
		{code: moveConst, dst: 2, imm: ethP8021Q},
		{code: moveConst, dst: 3, imm: int32(vlan)}, //nolint:gosec // up to 4094
		{code: call, imm: pushVLAN},
		{code: moveConst, dst: 1, imm: int32(to)}, //nolint:gosec // an index
		{code: moveConst, dst: 2, imm: 0},
		{code: call, imm: redirect},
		{code: exit},
	}
}

// loadRequest is the beginning of union bpf_attr for BPF_PROG_LOAD.
type loadRequest struct {
	kind, count      uint32
	program, license uint64
	_                [32]byte // no log, no flags
}

// load hands the kernel a program for filters.
func load(program []instruction) (fd int, err error) {
	var b []byte
	for _, i := range program {
		b = append(b, i.code, i.dst|i.src<<4)
		b = binary.NativeEndian.AppendUint16(b, uint16(i.off)) //nolint:gosec // the same bits
		b = binary.NativeEndian.AppendUint32(b, uint32(i.imm)) //nolint:gosec // the same bits
	}
	license := []byte("Apache-2.0\x00")
	request := loadRequest{
		kind: unix.BPF_PROG_TYPE_SCHED_CLS, count: uint32(len(program)), //nolint:gosec // a few
		program: uint64(uintptr(unsafe.Pointer(&b[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	n, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	runtime.KeepAlive(b)
	runtime.KeepAlive(license)
	if errno != 0 {
		return 0, fmt.Errorf("load program: %w", errno)
	}
	return int(n), nil
}
