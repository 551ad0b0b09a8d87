package fake

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A record is one NIC of ours in the fake's world.
type record struct {
	spec       nic.Spec
	params     string // spec as JSON, to compare
	providerID string
	mac        nic.MAC
	addrs      []netip.Addr
	state      nic.State
	place      nic.Place
	index      int       // the device index that was asked for last
	visible    time.Time // when Get, List and Attach begin to see it
	until      time.Time // when the transition that state names ends
	stuck      bool      // detaching does not end
	bounce     bool      // the next attaching ends in available
	// shown are the addresses that are told until lags.
	shown []netip.Addr
	lags  time.Time
}

// advance ends the transition whose time has come and says whether the NIC
// still exists.
func (r *record) advance(now time.Time) bool {
	if now.Before(r.until) {
		return true
	}
	switch r.state {
	case nic.StateCreating:
		r.state = nic.StateAvailable
	case nic.StateAttaching:
		r.state = nic.StateAttached
		if r.bounce {
			r.state, r.place, r.bounce = nic.StateAvailable, nic.Place{}, false
		}
	case nic.StateDetaching:
		if !r.stuck {
			r.state, r.place = nic.StateAvailable, nic.Place{}
		}
	case nic.StateDeleting:
		return false
	}
	return true
}

func (r *record) begin(now time.Time, state nic.State, takes time.Duration) {
	r.state, r.until = state, now.Add(takes)
}

func (r *record) seen(o Options) nic.Seen {
	seen := nic.Seen{
		NIC: r.spec.NIC, ProviderID: r.providerID,
		State: r.state, Place: r.place,
		MAC: r.mac, Addrs: slices.Clone(r.addrs), Subnets: subnetsOf(o, r.spec.Cloud.Subnet), Subnet: r.spec.Cloud.Subnet,
	}
	if time.Now().Before(r.lags) {
		seen.Addrs = slices.Clone(r.shown)
	}
	if r.state == nic.StateAttached || r.state == nic.StateDetaching {
		seen.Device, seen.Bus = o.Device(r.spec, r.mac), o.Bus
	}
	return seen
}

func paramsOf(spec nic.Spec) string {
	text, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("spec as JSON: %v", err)) // plain data always can be
	}
	return string(text)
}

// find returns our NIC in its state of now, or nil. Called with the lock held.
func (p *Provider) find(id nic.ID, now time.Time) *record {
	r := p.nics[id]
	if r == nil {
		return nil
	}
	if !r.advance(now) {
		delete(p.nics, id)
		p.unlead(id)
		return nil
	}
	return r
}

// used counts the slots that are taken on an instance: a NIC has one from
// attaching until it has left.
func (p *Provider) used(instance nic.InstanceID, now time.Time) int {
	n := p.plugged(instance, false, now)
	for _, f := range p.foreign {
		if f.Instance == instance {
			n++
		}
	}
	return n
}

// plugged is how many of our NICs an instance has, as members of its trunk or not.
func (p *Provider) plugged(instance nic.InstanceID, members bool, now time.Time) (n int) {
	for id := range p.nics {
		if r := p.find(id, now); r != nil && r.place.Instance == instance && r.spec.Cloud.Trunk == members {
			n++
		}
	}
	return n
}
