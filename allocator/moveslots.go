package allocator

import (
	"strings"
	"sync"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// trips has in memory which claims are on the move, and so for which a slot is
// kept on both nodes: on the one that they go to, and on the one that they may
// come back to. It is made of the records alone, by the leader's watch, and so is
// the same after a crash.
type trips struct {
	// machine is where NICs of a network are on a node.
	machine func(network, node string) pool.Machine

	mu     sync.Mutex // guards what follows
	claims map[nic.ClaimID]trip
	nics   few[nic.ID, place]
}

// A trip is a claim on the move.
type trip struct {
	nic   nic.ID
	keeps [2]pool.Machine // of From and To
}

// A place is where a NIC takes a slot.
type place struct {
	at pool.Machine
	// counts: the provider counts it there, or the NIC has a promise of its own.
	counts bool
}

func newTrips(machine func(network, node string) pool.Machine) *trips {
	return &trips{machine: machine, claims: map[nic.ClaimID]trip{}, nics: few[nic.ID, place]{}}
}

// clear is for who is going to learn everything anew.
func (t *trips) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.claims)
	clear(t.nics)
}

// see notes a changed record.
func (t *trips) see(e store.Event) {
	if id, ok := strings.CutPrefix(e.Key, claimPrefix); ok {
		var claim nic.Claim
		if !e.Gone {
			claim, _ = store.DecodeJSON[nic.Claim](e.Record)
		}
		claim.ID = nic.ClaimID(id)
		t.learn(claim)
	}
	if id, ok := strings.CutPrefix(e.Key, nicPrefix); ok {
		var n nic.NIC
		if !e.Gone {
			n, _ = store.DecodeJSON[nic.NIC](e.Record)
		}
		n.ID = nic.ID(id)
		t.learnNIC(n)
	}
}

func (t *trips) learn(claim nic.Claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !onMove(claim) || claim.Move.ByAddress {
		delete(t.claims, claim.ID)
		return
	}
	network := claim.Request.Network
	t.claims[claim.ID] = trip{claim.NIC, [2]pool.Machine{t.machine(network, claim.Move.From.Node), t.machine(network, claim.Move.To.Node)}}
}

func (t *trips) learnNIC(n nic.NIC) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n.Phase {
	case nic.PhasePlanned:
		t.nics.put(n.ID, place{machineOf(n), n.Placed})
	case nic.PhaseHeld:
		t.nics.put(n.ID, place{machineOf(n), true})
	default:
		delete(t.nics, n.ID)
	}
}

// on adds the slots of a machine that are kept for claims on the move, but for
// those of the NIC but.
func (t *trips) on(m pool.Machine, but nic.ID, held map[nic.ID]pool.Machine) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, trip := range t.claims {
		at := t.nics.at(trip.nic)
		if trip.nic == but && but != "" || at.counts && at.at == m {
			continue
		}
		for _, keeps := range trip.keeps {
			if keeps == m {
				held[slotOf(id)] = m
			}
		}
	}
}

// slotOf names the slot that is kept for a claim on the move, among those that
// are promised to NICs.
func slotOf(id nic.ClaimID) nic.ID { return nic.ID(id) }

// machineOn is where NICs of a network are on a node, by the config.
func (a *Allocator) machineOn(network, node string) pool.Machine {
	ids, _ := a.opts.Instances(node)
	return machineFor(a.networks[network], nic.Node{Name: node, Instances: ids})
}
