package nic

import (
	"crypto/rand"
	"fmt"
	"net"
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

// NewMAC draws a random, locally administered unicast MAC.
func NewMAC() MAC {
	var mac MAC
	rand.Read(mac[:])
	mac[0] = mac[0]&^0x01 | 0x02
	return mac
}

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
