//go:build linux

package sim

import (
	"encoding/binary"
	"hash/fnv"
)

// dice are drawn from the seed and from what they are for, and from nothing else: two
// who ask in another order get the same.
type dice struct{ state *uint64 }

func newDice(seed uint64, life int, verb string, turn int) dice {
	h := fnv.New64a()
	var b []byte
	for _, v := range []uint64{seed, uint64(int64(life)), uint64(turn)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	h.Write(append(b, verb...))
	state := h.Sum64()
	return dice{&state}
}

// next is the next number of splitmix64.
func (d dice) next() uint64 {
	*d.state += 0x9e3779b97f4a7c15
	z := *d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is in [0, 1).
func (d dice) float() float64 { return float64(d.next()>>11) / (1 << 53) }
