package allocator

import (
	"maps"
	"slices"
	"sync"

	"github.com/nicferry/nicferry/nic"
)

// A machine is an instance at a provider: what has slots.
type machine struct {
	provider string
	instance nic.InstanceID
}

// slots knows which slots are promised to NICs that the provider does not
// count yet: they are placed, and it has not been asked to plug them in. It is
// the leader's memory alone; an attach that is refused has the last word.
type slots struct {
	mu       sync.Mutex
	promised map[nic.ID]machine
	waiting  map[machine][]nic.ID // for a promise to come true or fall through
}

func newSlots() *slots {
	return &slots{promised: map[nic.ID]machine{}, waiting: map[machine][]nic.ID{}}
}

// on returns the NICs that hold promises on m.
func (s *slots) on(m machine) map[nic.ID]machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := maps.Clone(s.promised)
	maps.DeleteFunc(held, func(_ nic.ID, at machine) bool { return at != m })
	return held
}

// promise gives a NIC a slot of the free ones that the provider told of while
// the NICs in before held promises; these may be counted already or not. If it
// must wait, the NIC is among those that next returns.
func (s *slots) promise(id nic.ID, m machine, free int, before map[nic.ID]machine) bool {
	others := s.on(m)
	maps.Copy(others, before)
	delete(others, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if free > len(others) {
		s.promised[id] = m
		return true
	}
	if !slices.Contains(s.waiting[m], id) {
		s.waiting[m] = append(s.waiting[m], id)
	}
	return false
}

// keep notes a promise that was given before: in an earlier run.
func (s *slots) keep(id nic.ID, m machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promised[id] = m
}

// drop ends a NIC's promise, and returns the machine if it had one.
func (s *slots) drop(id nic.ID) (machine, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, had := s.promised[id]
	delete(s.promised, id)
	return m, had
}

// next takes the NIC that has waited longest.
func (s *slots) next(m machine) (nic.ID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.waiting[m]
	if len(queue) == 0 {
		return "", false
	}
	if s.waiting[m] = queue[1:]; len(queue) == 1 {
		delete(s.waiting, m)
	}
	return queue[0], true
}

func machineOf(n nic.NIC) machine { return machine{n.Provider, n.Instance} }

// countSlot follows a NIC's promise along its life.
func (a *Allocator) countSlot(n nic.NIC) {
	if n.Phase == nic.PhasePlanned {
		switch n.Seen.State {
		case "", nic.StateCreating, nic.StateAvailable:
			if n.Placed {
				a.slots.keep(n.ID, machineOf(n))
			}
			return
		}
	}
	if m, had := a.slots.drop(n.ID); had {
		a.admitNext(m)
	}
}

// admitNext lets the next NIC ask for a slot.
func (a *Allocator) admitNext(m machine) {
	if id, ok := a.slots.next(m); ok {
		a.queue.Wake(nicKey(id))
	}
}
