//go:build linux

package link

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What a program of FilterIngress returns for a frame. One that ends by itself, since
// it has read behind the end of a frame, lets it pass.
const (
	Pass uint32 = actNext // to whatever filters somebody else has there
	Drop uint32 = actDrop
)

// FilterIngress has a program over Ethernet frames decide what the link receives, in
// the place of what an earlier call said, with no gap between. It does not look whether
// that differs. The filter goes when the link leaves its namespace.
func (h *Handle) FilterIngress(l Link, program []bpf.RawInstruction) error {
	if err := h.replaceProgram(l, ingress, encode(program)); err != nil {
		return fmt.Errorf("filter what link %q receives: %w", l.Name, err)
	}
	return nil
}

// IngressFilter reads back what FilterIngress has set; nil is no filter of ours.
func (h *Handle) IngressFilter(l Link) ([]bpf.RawInstruction, error) {
	b, err := h.program(l, ingress)
	if err != nil || b == nil {
		return nil, err
	}
	program := make([]bpf.RawInstruction, 0, len(b)/unix.SizeofSockFilter)
	for ; len(b) >= unix.SizeofSockFilter; b = b[unix.SizeofSockFilter:] {
		program = append(program, bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:]),
		})
	}
	return program, nil
}

// UnfilterIngress takes the filter off. One that is not there is no error.
func (h *Handle) UnfilterIngress(l Link) error { return h.dropProgram(l, ingress) }

// encode is a program as the kernel takes it.
func encode(program []bpf.RawInstruction) []byte {
	var b []byte
	for _, f := range program {
		b = binary.NativeEndian.AppendUint16(b, f.Op)
		b = append(b, f.Jt, f.Jf)
		b = binary.NativeEndian.AppendUint32(b, f.K)
	}
	return b
}
