package ipam

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// A Number is a VLAN id, a VNI or a tunnel key.
type Number uint32

// A Key is what a pool gives.
type Key interface{ netip.Addr | Number }

// A Span is the keys First to Last, both included, and of one IP version if
// they are addresses.
type Span[K Key] struct{ First, Last K }

// A point is a key as an integer. IPv4 addresses lie where IPv6 has those that
// are mapped from them (RFC 4291, 2.5.5.2), so the versions never meet.
type point struct{ hi, lo uint64 }

func pointOf[K Key](k K) point {
	switch k := any(k).(type) {
	case netip.Addr:
		b := k.As16()
		return point{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
	case Number:
		return point{lo: uint64(k)}
	}
	return point{}
}

func keyOf[K Key](p point) (k K) {
	switch to := any(&k).(type) {
	case *netip.Addr:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], p.hi)
		binary.BigEndian.PutUint64(b[8:], p.lo)
		*to = netip.AddrFrom16(b).Unmap()
	case *Number:
		*to = Number(p.lo)
	}
	return k
}

func (p point) compare(o point) int {
	switch {
	case p == o:
		return 0
	case p.hi < o.hi || p.hi == o.hi && p.lo < o.lo:
		return -1
	}
	return 1
}

func (p point) less(o point) bool { return p.compare(o) < 0 }

// next is the point after p; that after the last is the first.
func (p point) next() point {
	lo, carry := bits.Add64(p.lo, 1, 0)
	return point{p.hi + carry, lo}
}

func (p point) previous() point {
	lo, borrow := bits.Sub64(p.lo, 1, 0)
	return point{p.hi - borrow, lo}
}

var lastPoint = point{math.MaxUint64, math.MaxUint64}

// count is how many points there are from first to last; the most that a
// uint64 holds if there are more.
func count(first, last point) uint64 {
	lo, borrow := bits.Sub64(last.lo, first.lo, 0)
	hi, _ := bits.Sub64(last.hi, first.hi, borrow)
	if hi > 0 || lo == math.MaxUint64 {
		return math.MaxUint64
	}
	return lo + 1
}

// add is a+b, or the most that a uint64 holds.
func add(a, b uint64) uint64 {
	if sum, carry := bits.Add64(a, b, 0); carry == 0 {
		return sum
	}
	return math.MaxUint64
}
