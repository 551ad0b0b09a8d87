package cloudsim

import (
	"net"
	"net/netip"
	"time"
)

// A MAC is a card's address.
type MAC [6]byte

// String is the form with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// A Status is where an interface is in its life.
type Status string

// The states of interfaces.
const (
	StatusPending   Status = "pending"
	StatusAvailable Status = "available"
	StatusInUse     Status = "in-use"
	StatusDeleting  Status = "deleting" // of an Asynchronous cloud
)

// The states of attachments.
const (
	Attaching Status = "attaching"
	Attached  Status = "attached"
	Detaching Status = "detaching"
)

// An Interface is a network interface (ENI).
type Interface struct {
	ID, Subnet, VPC string
	Zone, ZoneID    string
	Description     string
	// Name is for clouds that have one beside the tags.
	Name  string
	Owner string
	// Requester is the service that made it; Managed: only that may change it.
	Requester string
	Managed   bool
	Status    Status
	MAC       MAC
	// Kind is interface, efa, efa-only, trunk or branch.
	Kind            string
	SourceDestCheck bool
	// TrafficMode is for clouds that have one.
	TrafficMode string
	// Members are those of a trunk, by the order in which they came.
	Members []string
	// GoesWithInstance: an instance that ends takes it along, unless its attachment
	// was told otherwise.
	GoesWithInstance bool
	Groups           []Group
	// Attachment is nil where there is none.
	Attachment *Attachment
	// IPv4 are its addresses, the primary one first; none where the subnet or
	// the kind has none.
	IPv4         []PrivateIP
	IPv6         []netip.Addr
	IPv4Prefixes []netip.Prefix
	IPv6Prefixes []netip.Prefix
	Tags         Tags
	// Token is the client token that made it.
	Token   string
	Created time.Time
}

// A PrivateIP is an IPv4 address of an interface.
type PrivateIP struct {
	Addr    netip.Addr
	Primary bool
	DNS     string
	// Association is the public address on it; nil where there is none.
	Association *Association
}

// An Association is a public address on a private one.
type Association struct {
	ID, Allocation string
	Public         netip.Addr
	Owner          string
	DNS            string
}

// An Attachment is an interface in an instance.
type Attachment struct {
	ID, Instance, InstanceOwner string
	Device, Card                int
	Status                      Status
	DeleteOnTermination         bool
	Time                        time.Time
	// Trunk is the interface whose card carries a member, tagged with VLAN. Such a one
	// has no card of its own: Device is the VLAN.
	Trunk string
	VLAN  int
}

// Primary is the interface's first address; the zero Addr where it has none.
func (i Interface) Primary() netip.Addr {
	if len(i.IPv4) == 0 {
		return netip.Addr{}
	}
	return i.IPv4[0].Addr
}
