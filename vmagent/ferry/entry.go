//go:build linux

package ferry

import "github.com/nicferry/nicferry/nic"

// An Entry is how a NIC stands in its container, besides its addressing.
type Entry struct {
	Name string // required: the interface's name there
	// IPv6: otherwise it is switched off on the NIC.
	IPv6     bool
	IPv6Mode nic.IPv6Mode // optional: how addresses come from the wire
	// DefaultRoute: the container's default routes may come in by this NIC's
	// router advertisements, where the mode heeds these.
	DefaultRoute bool
	// Isolated: the NIC may send under no address but those that are known, and with
	// SLAAC the one that goes by its MAC. It makes no others then.
	Isolated bool
	// MTU in bytes, where it is not to be the recipe's: a lease may ask for a
	// lower one. Optional.
	MTU int
	// Metadata: some NIC of the container has a network that lets it reach the
	// metadata addresses. It is the container's, not the NIC's: all its NICs
	// are to say the same, or they would undo each other's.
	Metadata bool
}

// NewEntry is the entry of a NIC by what is wanted of it, in a container where
// metadata says what Entry.Metadata does.
func NewEntry(name string, want nic.Layer3, metadata bool) Entry {
	return Entry{
		Name: name, IPv6: want.IPv6, IPv6Mode: want.IPv6Mode,
		DefaultRoute: want.DefaultRoute, Metadata: metadata, Isolated: want.Isolated,
	}
}
