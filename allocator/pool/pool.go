// Package pool decides which NICs a node has in reserve: who gets which, what
// is made, and what is given back.
package pool

import (
	"cmp"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A Machine is an instance at a provider: what has slots.
type Machine struct {
	Provider string
	Instance nic.InstanceID
	// Members: the slots are those of its trunk, which are others than its own.
	Members bool
}

// A Network is one that NICs of the node come from.
type Network struct {
	Name string
	// Machine is the node at the network's provider.
	Machine Machine
	Pool    nic.Pool
	// Paused: no spare is made at present.
	Paused bool
}

// State is what a NIC is to the pool.
type State string

// The states. All of them take a slot.
const (
	Held    State = "held"    // a claim has it
	Making  State = "making"  // on its way in, for nobody yet
	Spare   State = "spare"   // plugged in and clean
	Cooling State = "cooling" // clean; only the identity that it had may have it yet
	Clean   State = "clean"   // given back and clean, and not yet decided on
	Leaving State = "leaving" // on its way out
)

// reserve says whether a NIC in the state is in reserve.
func (s State) reserve() bool { return s == Making || s == Spare || s == Cooling }

// An Item is a NIC that is on the node, or on its way there or back.
type Item struct {
	ID      nic.ID
	Network string
	Machine Machine
	Tenant  string
	// New: nobody has ever held it, so that it fits any tenant.
	New   bool
	MAC   nic.MAC
	State State
	Since time.Time // of the state
	// Ready: the node has said that it has it.
	Ready bool
	// Stale: the network makes its NICs otherwise now.
	Stale bool
}

// A Demand is a claim that waits for a NIC.
type Demand struct {
	Claim   nic.ClaimID
	Network string
	Tenant  string
	// MAC is the claim's own; zero where it takes that of its NIC.
	MAC nic.MAC
	// Ahead: its container is not started yet.
	Ahead bool
}

// A Gift is a NIC for a claim.
type Gift struct {
	Claim nic.ClaimID
	NIC   nic.ID
}

// A Retirement is a NIC that leaves the pool, and why, for people.
type Retirement struct {
	NIC nic.ID
	Why string
}

// A Plan is what is to be done, in this order. A NIC is in it once, but for one
// that is kept and then given.
type Plan struct {
	Keep   []nic.ID // clean ones that stay
	Give   []Gift
	Retire []Retirement // they go, and with them their slots
	Create []string     // a spare of each of these networks, one per entry
	// Missing is how many spares there are fewer than there should be, for want
	// of slots.
	Missing int
	// Again is when the next NIC may have been idle for long enough; zero if
	// there is none.
	Again time.Time
}

// Empty says whether there is nothing to do.
func (p Plan) Empty() bool {
	return len(p.Give) == 0 && len(p.Keep) == 0 && len(p.Retire) == 0 && len(p.Create) == 0
}

// Fits says whether the claim may have the NIC. A NIC that has served another
// tenant is not used again under its old MAC: frames for the last one still
// come to that (S14).
func (n Network) Fits(d Demand, it Item) bool {
	switch {
	case !it.State.reserve() || it.Stale || it.Network != n.Name || d.Network != n.Name || it.Machine != n.Machine:
		return false
	case !it.New && nic.TenantOf(it.Tenant) != nic.TenantOf(d.Tenant):
		return false
	case it.State == Cooling:
		return !d.MAC.IsZero() && d.MAC == it.MAC
	case d.MAC.IsZero():
		return true
	}
	return d.MAC == it.MAC
}

// Choose picks the NIC for a claim: its own of old if it is there, else one
// that the node has, else one that is on its way; of several the youngest, so
// that those which are not needed grow old.
func (n Network) Choose(d Demand, items []Item) (Item, bool) {
	var best Item
	for _, it := range items {
		if n.Fits(d, it) && (best.ID == "" || better(d, it, best)) {
			best = it
		}
	}
	return best, best.ID != ""
}

func better(d Demand, a, b Item) bool {
	score := func(it Item) int {
		s := 0
		if !d.MAC.IsZero() && it.MAC == d.MAC {
			s += 4
		}
		if it.State != Making {
			s += 2
		}
		if it.Ready {
			s++
		}
		return s
	}
	return cmp.Or(score(a)-score(b), a.Since.Compare(b.Since), cmp.Compare(b.ID, a.ID)) > 0
}
