package nic

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"
)

// ID names one NIC for its whole life. It is minted before the provider is
// asked, and is also the NIC's tag, alias and creation token there.
type ID string

// ClaimID names one claim. The DHCP client id is made from it, so that a
// container keeps its lease whichever NIC serves it.
type ClaimID string

// InstanceID is a provider's own name for a node's machine, such as an EC2
// instance id or a libvirt domain UUID. For made NICs it is the node's name.
type InstanceID string

const (
	idPrefix      = "nic-"
	claimIDPrefix = "clm-"
	idHexDigits   = 16
)

// NewID mints a NIC id: 48 bits that count up from a random start of this process, and
// 16 random ones. What is minted together lies together in the store, which has to write
// less than half as much then. It refuses a second record under the same id, so a
// collision is an error and never a mix-up.
func NewID() ID { return ID(idPrefix + hexOf(nics.next(1<<16))) }

// NewClaimID mints a claim id.
func NewClaimID() ClaimID { return ClaimID(claimIDPrefix + hexOf(claims.next(1<<16))) }

var nics, claims = newSeries(), newSeries()

// A series gives numbers, each greater than the last.
type series struct{ last atomic.Uint64 }

func newSeries() *series {
	var s series
	s.last.Store(randomBits())
	return &s
}

// next is the next number: a multiple of the step, and a random rest.
func (s *series) next(step uint64) uint64 { return s.last.Add(step)/step*step + randomBits()%step }

func hexOf(number uint64) string { return fmt.Sprintf("%0*x", idHexDigits, number) }

func randomBits() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never returns an error since Go 1.24
	return binary.BigEndian.Uint64(b[:])
}

func randomHex() string {
	var b [idHexDigits / 2]byte
	rand.Read(b[:]) // never returns an error since Go 1.24
	return hex.EncodeToString(b[:])
}

// ParseID accepts exactly what NewID makes.
func ParseID(s string) (ID, error) {
	if err := checkID(s, idPrefix); err != nil {
		return "", fmt.Errorf("NIC id %q: %w", s, err)
	}
	return ID(s), nil
}

// ParseClaimID accepts exactly what NewClaimID makes.
func ParseClaimID(s string) (ClaimID, error) {
	if err := checkID(s, claimIDPrefix); err != nil {
		return "", fmt.Errorf("claim id %q: %w", s, err)
	}
	return ClaimID(s), nil
}

func checkID(s, prefix string) error {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return fmt.Errorf("want it to start with %q", prefix)
	}
	if len(digits) != idHexDigits || strings.Trim(digits, "0123456789abcdef") != "" {
		return fmt.Errorf("want %d lower-case hex digits after %q", idHexDigits, prefix)
	}
	return nil
}

// LinkName is a kernel interface name made from the id: a short prefix and the
// id's first 12 hex digits, 14 bytes of the 15 the kernel allows. It is a hint
// for people; nothing identifies a NIC by name.
func (id ID) LinkName(prefix string) string {
	digits := strings.TrimPrefix(string(id), idPrefix)
	return prefix + digits[:min(12, len(digits))]
}
