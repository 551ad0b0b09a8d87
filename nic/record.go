package nic

import (
	"net/netip"
	"time"
)

// Schema is the version of the records below. A reader refuses a newer one.
const Schema = 1

// A NIC is our durable record of one interface. It is there before the
// provider is asked, before a claim holds it, and until the provider says it
// is gone.
type NIC struct {
	Schema   int        `json:"schema"`
	ID       ID         `json:"id"`
	Tenant   string     `json:"tenant"`
	Network  string     `json:"network"`
	Provider string     `json:"provider"`
	Node     string     `json:"node"`
	Instance InstanceID `json:"instance"`
	Phase    Phase      `json:"phase"`
	// Placed: Spec is settled; from here on Create may have been called.
	Placed bool `json:"placed"`
	// Asked is when it was placed, or before that when the turn came that it had
	// waited for. From then on the plugging has a deadline.
	Asked  time.Time `json:"asked,omitzero"`
	Spec   Spec      `json:"spec"`
	Holder ClaimID   `json:"holder,omitempty"`
	// Carrier: the NIC is a seat on that one, with one of its addresses. No provider
	// knows of it.
	Carrier ID `json:"carrier,omitempty"`
	// Next is the NIC, on another node, on which there is a place for the seat's
	// address as well as on Carrier: while the claim moves, and until the address is
	// on the one of them where it is to stay.
	Next ID `json:"next,omitempty"`
	// AddrOn is the one of Carrier and Next that the seat's address is on by its
	// provider's word, while it moves. Empty: the provider may have taken it elsewhere
	// since, and what it shows may be of before.
	AddrOn ID `json:"addrOn,omitempty"`
	// Carries: the NIC is for seats. Nobody holds it, no node is told of it but by
	// its seats, and it goes home with the last of them. They are of one tenant and
	// one network.
	Carries bool `json:"carries,omitempty"`
	// Alone: it carries one seat, whose container has the NIC itself.
	Alone bool `json:"alone,omitempty"`
	// Seats is how many NICs there are whose Carrier or Next it is.
	Seats int `json:"seats,omitempty"`
	// Arrives is how many of its seats it was planned for whose addresses come from
	// other NICs: it is made with as many fewer.
	Arrives int `json:"arrives,omitempty"`
	// Astray are addresses of seats that ended on their way: this NIC has one, or that
	// other which the seat had a place on, or none. Nobody gets it before the provider
	// is seen to have it here.
	Astray []Astray `json:"astray,omitempty"`
	// Room is how many addresses it can have for seats, once it is placed.
	Room int `json:"room,omitempty"`
	// Closed: it takes no further seats.
	Closed bool `json:"closed,omitempty"`
	// Layer3 is the addressing when the NIC was planned. It is what counts
	// when the network is no longer in the config.
	Layer3 Layer3 `json:"layer3,omitzero"`
	// Seen is the provider's last word, zero before the first.
	Seen Seen `json:"seen,omitzero"`
	// Former is how each VF of the recipe was set before the claim, as the node told.
	// The node sets nothing before it has it back.
	Former []VFWas `json:"former,omitempty"`
	// Clean: the node has reported, since it was told to take the NIC out,
	// that nothing of it is left there.
	Clean bool `json:"clean,omitempty"`
	// Reuse: once it is clean it may stay, for others.
	Reuse bool `json:"reuse,omitempty"`
	// Going is the node that a returning NIC is carried to, once it is clean and
	// unplugged; it may be the one that it is on. Empty is home.
	Going string `json:"going,omitempty"`
	// Turn grows each time that it stays, or is to be on a node again. What a
	// node says of an earlier turn is passed over.
	Turn uint64 `json:"turn,omitempty"`
	// Again counts how often the node was asked to look once more.
	Again      int         `json:"again,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	// Steps are those of its way to its present holder that are done, in order.
	Steps   []Step    `json:"steps,omitempty"`
	Created time.Time `json:"created"`
	// Since is when the phase began.
	Since time.Time `json:"since"`
}

// Astray is an address of which nobody knows yet which NIC has it.
type Astray struct {
	Addr netip.Addr `json:"addr"`
	// Since is when its seat ended.
	Since time.Time `json:"since"`
}

// A Claim is one container interface's right to a NIC and to its identity. It
// lives as long as its container exists.
type Claim struct {
	Schema int     `json:"schema"`
	ID     ClaimID `json:"id"`
	Tenant string  `json:"tenant"`
	Owner  Owner   `json:"owner"`
	// Container is the container's name when the claim was made; for people.
	Container string     `json:"container"`
	Request   Request    `json:"request"`
	Phase     ClaimPhase `json:"phase"`
	// Epoch is the claim's fencing number: a write with an older one is refused.
	Epoch    uint64   `json:"epoch"`
	Identity Identity `json:"identity"`
	// Move is set while the claim is on its way to another owner: then only the
	// move decides what becomes of it.
	Move *ClaimMove `json:"move,omitempty"`
	// NIC is held now; empty while waiting, and once the hold is over.
	NIC ID `json:"nic,omitempty"`
	// ReservedUntil is when a claim for a container that is about to be made ends,
	// unless that has come; zero for all others.
	ReservedUntil time.Time `json:"reservedUntil,omitzero"`
	// StoppedAt is when the container stopped, or when the NIC of one that was
	// never started was given back; zero while it runs or is expected to.
	StoppedAt time.Time `json:"stoppedAt,omitzero"`
	// Setbacks are the NICs of the last hour that were made for the claim and
	// could not be used, oldest first.
	Setbacks   []Setback   `json:"setbacks,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Created    time.Time   `json:"created"`
	// Since is when the phase began.
	Since time.Time `json:"since"`
}

// A Setback is a NIC that was made for a claim and could not be used.
type Setback struct {
	At      time.Time `json:"at"`
	Reason  Reason    `json:"reason"`
	Message string    `json:"message"`
	// VFs are the PCI addresses of those that the node could not make it of.
	VFs []string `json:"vfs,omitempty"`
}

// An Identity is what stays with a claim whichever NIC serves it.
type Identity struct {
	MAC MAC `json:"mac,omitzero"`
	// Addrs are reserved for the claim, unless Given; empty with DHCP.
	Addrs []netip.Prefix `json:"addrs,omitempty"`
	// Given: the provider gave Addrs, and they are not reserved.
	Given bool `json:"given,omitempty"`
	// Space is the address space that Addrs are in.
	Space string `json:"space,omitempty"`
	// Public is what the world reaches the claim by, where its network publishes its
	// claims. It is the claim's alone: the next container of its name gets another.
	Public netip.Addr `json:"public,omitzero"`
}

// DHCPClientID is the client identifier (RFC 2132 option 61) of a claim: type
// 0, "other than hardware address", and the claim's id.
func (id ClaimID) DHCPClientID() []byte { return append([]byte{0}, id...) }
