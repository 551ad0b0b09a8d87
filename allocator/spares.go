package allocator

import (
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// spares remembers which node each NIC is on, to wake its pools, and which
// networks have spares that come to nothing there. It is the leader's memory
// alone.
type spares struct {
	mu     sync.Mutex
	nics   map[nic.ID]spareMark
	pauses map[spareOf]pause
}

// A spareMark is what of a NIC matters to the pools of its node.
type spareMark struct {
	node   string
	state  pool.State
	tenant string
}

func spareMarkOf(n nic.NIC) spareMark { return spareMark{n.Node, stateOf(n), nic.TenantOf(n.Tenant)} }

// whose says which tenant's turn it is to work on a key of the queue: that of
// the NIC; all else is one more group.
func (s *spares) whose(key string) string {
	id, ok := strings.CutPrefix(key, nicPrefix)
	if !ok {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nics[nic.ID(id)].tenant
}

type spareOf struct{ node, network string }

type pause struct {
	until time.Time
	gap   time.Duration
}

func newSpares() *spares {
	return &spares{nics: map[nic.ID]spareMark{}, pauses: map[spareOf]pause{}}
}

// failed notes a spare that has come to nothing.
func (s *spares) failed(n nic.NIC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := spareOf{n.Node, n.Network}
	gap := min(max(2*s.pauses[of].gap, spareGap), spareGapMax)
	s.pauses[of] = pause{time.Now().Add(gap), gap}
}

// came notes one that its node has.
func (s *spares) came(n nic.NIC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pauses, spareOf{n.Node, n.Network})
}

// learn notes where a NIC is that was there before the watch.
func (s *spares) learn(n nic.NIC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nics[n.ID] = spareMarkOf(n)
}

// on are a node's NICs that nobody holds.
func (s *spares) on(node string) (ids []nic.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, m := range s.nics {
		if m.node == node && (m.state == pool.Making || m.state == pool.Spare || m.state == pool.Cooling) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *spares) pausedFor(node, network string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, time.Until(s.pauses[spareOf{node, network}].until))
}

// see says of which node the pools have to decide anew after a change; "" if of
// none.
func (s *spares) see(e store.Event) string {
	if id, ok := strings.CutPrefix(e.Key, nicPrefix); ok {
		return s.seeNIC(nic.ID(id), e)
	}
	if node, ok := strings.CutPrefix(e.Key, nodePrefix); ok {
		return node
	}
	if strings.HasPrefix(e.Key, claimPrefix) && !e.Gone {
		if c, err := store.DecodeJSON[nic.Claim](e.Record); err == nil && c.Phase == nic.ClaimRefused {
			return c.Owner.Node
		}
	}
	return ""
}

func (s *spares) seeNIC(id nic.ID, e store.Event) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.nics[id]
	if e.Gone {
		delete(s.nics, id)
		return before.node
	}
	n, err := store.DecodeJSON[nic.NIC](e.Record)
	now := spareMarkOf(n)
	if err != nil || now == before {
		return ""
	}
	s.nics[id] = now
	return n.Node
}
