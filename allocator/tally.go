package allocator

import (
	"strings"
	"sync"
	"unique"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A Tally takes what the allocator has at the moment.
type Tally interface {
	// Claims is how many claims are in a phase.
	Claims(phase nic.ClaimPhase, network, tenant string, count int)
	// NICs is how many NICs are in a phase.
	NICs(phase nic.Phase, network string, count int)
	// Nodes is how many nodes are in a phase.
	Nodes(phase nic.NodePhase, count int)
	// Pool is how many NICs the pools of a network are to have made ahead, on all
	// nodes that are ready.
	Pool(network string, wanted int)
	// Leading says whether this allocator does the work. One that does not
	// tells nothing else.
	Leading(leads bool)
}

// tallies has in memory what people count: how many claims, NICs and nodes
// there are of which kind. The leader keeps it up to date by its watch, so that
// a count costs the store nothing.
type tallies struct {
	clock
	by Observer

	mu sync.Mutex
	counted
}

// counted is what there is to count.
type counted struct {
	claims few[nic.ClaimID, claimMark]
	nics   map[nic.ID]nicMark
	nodes  map[string]nic.Node
}

func newCounted() counted {
	return counted{few[nic.ClaimID, claimMark]{}, map[nic.ID]nicMark{}, map[string]nic.Node{}}
}

type claimMark struct {
	phase           nic.ClaimPhase
	network, tenant string
	reason          nic.Reason // of its refusal
}

type nicMark struct {
	kind unique.Handle[nicKind]
	// steps are how many the NIC has taken on its way that begun at that time, which is in
	// nanoseconds since 1970; 0: it has taken none.
	steps int
	begun int64
}

type nicKind struct {
	phase   nic.Phase
	network string
}

func markOfNIC(n nic.NIC) nicMark {
	m := nicMark{kind: unique.Make(nicKind{n.Phase, n.Network}), steps: len(n.Steps)}
	if len(n.Steps) > 0 {
		m.begun = n.Steps[0].At.UnixNano()
	}
	return m
}

func newTallies(c clock, by Observer) *tallies {
	return &tallies{clock: c, by: by, counted: newCounted()}
}

// learn begins anew with all that there is before the watch.
func (t *tallies) learn(all counted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counted = all
}

func markOfClaim(c nic.Claim) claimMark {
	m := claimMark{phase: c.Phase, network: c.Request.Network, tenant: c.Tenant}
	if c.Phase == nic.ClaimRefused && len(c.Conditions) > 0 {
		m.reason = c.Conditions[0].Reason
	}
	return m
}

// see notes a change. What cannot be read is counted by nobody; whoever works
// on it will say so.
func (t *tallies) see(e store.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := strings.CutPrefix(e.Key, claimPrefix); ok {
		t.seeClaim(nic.ClaimID(id), e)
	}
	if id, ok := strings.CutPrefix(e.Key, nicPrefix); ok {
		t.seeNIC(nic.ID(id), e)
	}
	if name, ok := strings.CutPrefix(e.Key, nodePrefix); ok {
		delete(t.nodes, name)
		if node, err := store.DecodeJSON[nic.Node](e.Record); err == nil && !e.Gone {
			t.nodes[name] = node
		}
	}
}

func (t *tallies) seeClaim(id nic.ClaimID, e store.Event) {
	was := t.claims.at(id)
	delete(t.claims, id)
	c, err := store.DecodeJSON[nic.Claim](e.Record)
	if e.Gone || err != nil {
		return
	}
	now := markOfClaim(c)
	t.claims.put(id, now)
	if now.phase == nic.ClaimRefused && (was.phase != nic.ClaimRefused || was.reason != now.reason) {
		t.by.Refused(now.reason)
	}
}

func (t *tallies) seeNIC(id nic.ID, e store.Event) {
	was := t.nics[id]
	delete(t.nics, id)
	n, err := store.DecodeJSON[nic.NIC](e.Record)
	if e.Gone || err != nil {
		return
	}
	now := markOfNIC(n)
	t.nics[id] = now
	if now.begun != was.begun {
		was.steps = 1
	}
	for i := max(1, was.steps); i < now.steps; i++ { // the first one is when it was asked for
		if s := n.Steps[i]; s.Name != nic.StepStarted { // its user's time, not ours
			t.by.Stepped(string(s.Name), s.At.Sub(n.Steps[i-1].At))
		}
	}
}

// Tally tells what there is at the moment, from memory.
func (a *Allocator) Tally(to Tally) {
	leads := a.leading()
	to.Leading(leads)
	if !leads {
		return
	}
	claims, nics, nodes := a.tallies.count()
	for m, n := range claims {
		to.Claims(m.phase, m.network, m.tenant, n)
	}
	for m, n := range nics {
		to.NICs(m.phase, m.network, n)
	}
	ready := map[string]int{} // by provider
	for _, node := range nodes {
		phase := a.withLife(node).Phase
		to.Nodes(phase, 1)
		if phase != nic.NodeReady {
			continue
		}
		for name := range a.opts.Providers {
			if _, ok := node.Instances[name]; ok || len(node.Instances) == 0 {
				ready[name]++
			}
		}
	}
	for _, network := range a.networks {
		if network.Pool.Max > 0 {
			to.Pool(network.Name, network.Pool.Min*ready[network.Provider])
		}
	}
}

func (t *tallies) count() (claims map[claimMark]int, nics map[nicKind]int, nodes []nic.Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	claims, nics = map[claimMark]int{}, map[nicKind]int{}
	for _, kept := range t.claims {
		m := kept.Value()
		m.reason = ""
		claims[m]++
	}
	for _, m := range t.nics {
		nics[m.kind.Value()]++
	}
	for _, node := range t.nodes {
		nodes = append(nodes, node)
	}
	return claims, nics, nodes
}
