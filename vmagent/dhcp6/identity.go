package dhcp6

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/nicferry/nicferry/nic"
)

// A DUID names a client or a server (RFC 9915 §11). In text and JSON it is hex.
type DUID []byte

// Lengths in bytes: type and something, and what the RFC allows.
const (
	minDUID = 3
	maxDUID = 130
)

func (d DUID) check() error {
	if len(d) < minDUID || len(d) > maxDUID {
		return fmt.Errorf("DUID of %d bytes, want %d to %d", len(d), minDUID, maxDUID)
	}
	return nil
}

// String returns the hex digits.
func (d DUID) String() string { return hex.EncodeToString(d) }

// MarshalText writes the hex digits.
func (d DUID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *DUID) UnmarshalText(text []byte) (err error) {
	*d, err = hex.DecodeString(string(text))
	return err
}

// ClaimDUID is the claim's, always the same: a UUID (RFC 6355) made from the
// claim's id, since we have no enterprise number and a MAC belongs to the NIC.
func ClaimDUID(claim nic.ClaimID) DUID {
	sum := sha256.Sum256([]byte("nicferry claim " + claim))
	uuid := sum[:16]
	uuid[6] = uuid[6]&0x0f | 0x80 // RFC 9562: version 8, of our own making
	uuid[8] = uuid[8]&0x3f | 0x80
	return append(binary.BigEndian.AppendUint16(nil, uint16(dhcpv6.DUID_UUID)), uuid...)
}

// InterfaceIAID is fixed by the interface's name in the container.
func InterfaceIAID(name string) (iaid [4]byte) {
	h := fnv.New32a()
	h.Write([]byte(name)) // never returns an error
	h.Sum(iaid[:0])
	return iaid
}
