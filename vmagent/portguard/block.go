//go:build linux

package portguard

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"

	"github.com/nicferry/nicferry/internal/link"
)

// A block is instructions that run one after the other. Jumps in it go forward, and
// at most to its end.
type block = []bpf.Instruction

// What is decided on a frame.
var (
	pass bpf.Instruction = bpf.RetConstant{Val: link.Pass}
	drop bpf.Instruction = bpf.RetConstant{Val: link.Drop}
)

// A mode says what an offset counts from.
type mode int

const (
	absolute mode = iota // the frame's first byte
	indexed              // where X is
)

// load takes what is at the offset into A. What reads behind the end of a frame would
// let it pass: needFrame and needMore go before.
func load(from mode, at uint32, size int) bpf.Instruction {
	if from == indexed {
		return bpf.LoadIndirect{Off: at, Size: size}
	}
	return bpf.LoadAbsolute{Off: at, Size: size}
}

// needFrame drops a frame of fewer bytes.
func needFrame(bytes uint32) block {
	return append(block{bpf.LoadExtension{Num: bpf.ExtLen}}, dropUnless(bpf.JumpGreaterOrEqual, bytes)...)
}

// needMore drops a frame that has fewer bytes from X on.
func needMore(bytes uint32) block {
	b := block{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIfX{Cond: bpf.JumpGreaterOrEqual, SkipTrue: 1},
		drop,
		bpf.ALUOpX{Op: bpf.ALUOpSub},
	}
	return append(b, dropUnless(bpf.JumpGreaterOrEqual, bytes)...)
}

// dropUnless drops the frame unless A compares so; dropIf if it does.
func dropUnless(cond bpf.JumpTest, val uint32) block {
	return block{bpf.JumpIf{Cond: cond, Val: val, SkipTrue: 1}, drop}
}

func dropIf(cond bpf.JumpTest, val uint32) block {
	return block{bpf.JumpIf{Cond: cond, Val: val, SkipFalse: 1}, drop}
}

// when runs the body if A compares so, and else goes on behind with A as it was.
func when(cond bpf.JumpTest, val uint32, body block) block {
	head := block{
		bpf.JumpIf{Cond: cond, Val: val, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(body))},
	}
	return append(head, body...)
}

// whenOneOf runs the body if A is one of the values.
func whenOneOf(values []uint32, body block) block {
	var head block
	for i, v := range values {
		head = append(head, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(values) - i)})
	}
	head = append(head, bpf.Jump{Skip: uint32(len(body))})
	return append(head, body...)
}

// advance moves X on by A.
func advance() block { return block{bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{}} }

// A match compares a part of the frame. A zero mask is all of it.
type match struct {
	from mode
	at   uint32
	size int
	mask uint32
	want uint32
}

// An alternative matches if all its matches do; one of none does always.
type alternative []match

// anyOf drops a frame that none of the alternatives matches.
func anyOf(all []alternative) block {
	b := block{drop}
	for i := len(all) - 1; i >= 0; i-- {
		b = append(all[i].block(len(b)), b...)
	}
	return b
}

// block jumps over so many instructions behind it if all matches do.
func (a alternative) block(over int) block {
	b := block{bpf.Jump{Skip: uint32(over)}}
	for i := len(a) - 1; i >= 0; i-- {
		m := a[i]
		head := block{load(m.from, m.at, m.size)}
		if m.mask != 0 {
			head = append(head, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: m.mask})
		}
		head = append(head, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: m.want, SkipTrue: uint8(len(b))})
		b = append(head, b...)
	}
	return b
}

// inPrefix matches an address at the offset, four bytes by four.
func inPrefix(p netip.Prefix, from mode, at uint32) alternative {
	var a alternative
	b := p.Masked().Addr().AsSlice()
	for i := 0; i < len(b) && 8*i < p.Bits(); i += 4 {
		m := match{from: from, at: at + uint32(i), size: 4, want: word(b[i : i+4])}
		if left := p.Bits() - 8*i; left < 32 {
			m.mask = ^uint32(0) << (32 - left)
		}
		a = append(a, m)
	}
	return a
}

func word(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
