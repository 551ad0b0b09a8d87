package nic

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
)

// MAC is a 48-bit Ethernet address. The zero MAC means "not known" or "not
// asked for"; in text and JSON it is the empty string.
type MAC [6]byte

// ParseMAC reads a unicast MAC such as 02:00:5e:10:00:01. Multicast and
// all-zero addresses are refused: no NIC can own them.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("MAC %q: want six pairs of hex digits such as 02:00:5e:10:00:01", s)
	}
	mac := MAC(hw)
	switch {
	case mac.IsZero():
		return MAC{}, fmt.Errorf("MAC %q: all zeros is not an address", s)
	case mac[0]&1 == 1:
		return MAC{}, fmt.Errorf("MAC %q: is multicast (odd first byte); a NIC needs a unicast address", s)
	}
	return mac, nil
}

// MACPrefix is how the MACs begin that NewMAC draws, so that a machine's network
// managers can be told to leave such NICs alone. It is unicast and lies in the
// range that IEEE 802c leaves to local administration. The 32 bits behind it
// make a clash of two clusters' NICs on one LAN unlikely: 1,000 NICs have a
// chance of 1 in 8,600. So many bits leave the prefix with 16, and a machine
// that draws its own MACs wholly at random with a chance of 1 in 16,384 to be
// taken for ours: nothing is flushed or cut off by the prefix alone.
const MACPrefix = "e2:4e:"

// NewMAC draws a locally administered unicast MAC with our prefix: 24 bits behind it
// count up from a random start of this process, for what is made together to lie together
// in the store, and the last 8 are random. Where the MACs of two clusters come to lie in
// the same stretch, few of them clash.
func NewMAC() MAC {
	mac := MAC{0xe2, 0x4e}
	binary.BigEndian.PutUint32(mac[2:], uint32(macs.next(1<<8))) //nolint:gosec // its last 32 bits
	return mac
}

var macs = newSeries()

// Drawn says whether the MAC begins as those of NewMAC do.
func (m MAC) Drawn() bool { return strings.HasPrefix(m.String(), MACPrefix) }

// IsZero says whether the MAC is not known.
func (m MAC) IsZero() bool { return m == MAC{} }

// Hardware returns the address in the standard library's form.
func (m MAC) Hardware() net.HardwareAddr { return net.HardwareAddr(m[:]) }

// String returns the colon form, or "" for the zero MAC.
func (m MAC) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Hardware().String()
}

// MarshalText writes the colon form, so that JSON and YAML show it as people do.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (m *MAC) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = MAC{}
		return nil
	}
	mac, err := ParseMAC(string(text))
	if err == nil {
		*m = mac
	}
	return err
}
