package allocator

import (
	"maps"
	"slices"
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
	mu   sync.Mutex
	nics few[nic.ID, spareMark]     // as of the revision seen
	idle map[string]map[nic.ID]bool // those in reserve, by node
	seen store.Rev
	// ahead is what the leader has written itself and not seen yet: who has heard of
	// a spare may ask for it before the watch has come that far. Writing are those in
	// reserve that it is about to write: the store has one before we know.
	ahead   map[nic.ID]aheadMark
	writing map[spareAt]int
	pauses  map[spareOf]pause
}

// A spareAt is a NIC on a node.
type spareAt struct {
	node string
	id   nic.ID
}

// An aheadMark is what a NIC is from a revision on.
type aheadMark struct {
	spareMark
	at store.Rev
}

// A spareMark is what of a NIC matters to the pools of its node.
type spareMark struct {
	node   string
	state  pool.State
	tenant string
}

func spareMarkOf(n nic.NIC) spareMark {
	return spareMark{n.Node, stateOf(n), nic.TenantOf(n.Tenant)}
}

// whose says which tenant's turn it is to work on a key of the queue: that of
// the NIC; all else is one more group.
func (s *spares) whose(key string) string {
	id, ok := strings.CutPrefix(key, nicPrefix)
	if !ok {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nics.at(nic.ID(id)).tenant
}

type spareOf struct{ node, network string }

type pause struct {
	until time.Time
	gap   time.Duration
}

func newSpares() *spares {
	return &spares{
		nics: few[nic.ID, spareMark]{}, idle: map[string]map[nic.ID]bool{}, ahead: map[nic.ID]aheadMark{}, writing: map[spareAt]int{}, pauses: map[spareOf]pause{},
	}
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

// learn notes where the NICs are that there are at a revision, from which on they are
// watched. It keeps the map.
func (s *spares) learn(nics few[nic.ID, spareMark], at store.Rev) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nics = nics
	clear(s.idle)
	for id, kept := range nics {
		s.noteIdle(id, kept.Value())
	}
	s.reach(at)
}

// writes notes what the leader is about to commit; end says at which revision it has,
// which the watch may not have come to yet, or 0 if it has not.
func (s *spares) writes(records []remembered) (end func(at store.Rev)) {
	type write struct {
		of   spareAt
		mark spareMark
	}
	var writes []write
	for _, r := range records {
		if n, ok := r.v.(nic.NIC); ok {
			writes = append(writes, write{spareAt{n.Node, n.ID}, spareMarkOf(n)})
		}
	}
	count := func(by int) {
		for _, w := range writes {
			if !w.mark.idle(w.of.node) {
				continue
			}
			if s.writing[w.of] += by; s.writing[w.of] == 0 {
				delete(s.writing, w.of)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	count(1)
	return func(at store.Rev) {
		s.mu.Lock()
		defer s.mu.Unlock()
		count(-1)
		for _, w := range writes {
			if at > s.seen && at >= s.ahead[w.of.id].at {
				s.ahead[w.of.id] = aheadMark{w.mark, at}
			}
		}
	}
}

// reached notes that all has been seen up to a revision.
func (s *spares) reached(at store.Rev) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reach(at)
}

func (s *spares) reach(at store.Rev) {
	s.seen = at
	maps.DeleteFunc(s.ahead, func(_ nic.ID, m aheadMark) bool { return m.at <= at })
}

// on are a node's NICs that nobody holds, with those that are about to be.
func (s *spares) on(node string) (ids []nic.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.idle[node] {
		if _, later := s.ahead[id]; !later {
			ids = append(ids, id)
		}
	}
	for id, m := range s.ahead {
		if m.idle(node) {
			ids = append(ids, id)
		}
	}
	for key := range s.writing {
		if key.node == node && !slices.Contains(ids, key.id) {
			ids = append(ids, key.id)
		}
	}
	return ids
}

// idle says whether it is a NIC in reserve on the node.
func (m spareMark) idle(node string) bool {
	return m.node == node && (m.state == pool.Making || m.state == pool.Spare || m.state == pool.Cooling)
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
	before := s.nics.at(id)
	if e.Gone {
		s.drop(id)
		return before.node
	}
	n, err := store.DecodeJSON[nic.NIC](e.Record)
	now := spareMarkOf(n)
	if err != nil || now == before {
		return ""
	}
	s.note(id, now)
	return n.Node
}

// note notes what a NIC is. The caller holds the lock.
func (s *spares) note(id nic.ID, m spareMark) {
	s.drop(id)
	s.nics.put(id, m)
	s.noteIdle(id, m)
}

// noteIdle notes a NIC that is in reserve. The caller holds the lock.
func (s *spares) noteIdle(id nic.ID, m spareMark) {
	if !m.idle(m.node) {
		return
	}
	if s.idle[m.node] == nil {
		s.idle[m.node] = map[nic.ID]bool{}
	}
	s.idle[m.node][id] = true
}

func (s *spares) drop(id nic.ID) {
	node := s.nics.at(id).node
	delete(s.nics, id)
	if delete(s.idle[node], id); len(s.idle[node]) == 0 {
		delete(s.idle, node)
	}
}
