package allocator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/gate"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// slots knows which slots are promised to NICs that the provider does not
// count yet: they are placed, and it has not been asked to plug them in. It is
// the leader's memory alone; an attach that is refused has the last word.
type slots struct {
	trips    *trips // what is kept for claims on the move
	mu       sync.Mutex
	promised map[nic.ID]pool.Machine
	at       map[pool.Machine]map[nic.ID]struct{} // promised, by machine
	waiting  map[pool.Machine][]nic.ID            // for a promise to come true or fall through
}

func newSlots(trips *trips) *slots {
	return &slots{
		trips: trips, promised: map[nic.ID]pool.Machine{}, at: map[pool.Machine]map[nic.ID]struct{}{}, waiting: map[pool.Machine][]nic.ID{},
	}
}

// on returns who holds promises on m: NICs, and claims on the move.
func (s *slots) on(m pool.Machine) map[nic.ID]pool.Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held(m, "")
}

// held is on for a caller that holds the lock, without what is kept for the NIC
// but.
func (s *slots) held(m pool.Machine, but nic.ID) map[nic.ID]pool.Machine {
	held := make(map[nic.ID]pool.Machine, len(s.at[m]))
	for id := range s.at[m] {
		held[id] = m
	}
	s.trips.on(m, but, held)
	return held
}

// promise gives a NIC a slot of the free ones that the provider told of while
// the NICs in before held promises; these may be counted already or not. If it
// must wait, the NIC is among those that next returns. What is kept for its
// holder, if that is on the move, is its own.
func (s *slots) promise(id nic.ID, holder nic.ClaimID, m pool.Machine, free int, before map[nic.ID]pool.Machine) bool {
	s.mu.Lock() // to count and to promise are one: two who ask at once shall not get the same slot
	defer s.mu.Unlock()
	others := s.held(m, id)
	maps.Copy(others, before)
	delete(others, id)
	if holder != "" {
		delete(others, slotOf(holder))
	}
	if free > len(others) {
		s.give(id, m)
		return true
	}
	if !slices.Contains(s.waiting[m], id) {
		s.waiting[m] = append(s.waiting[m], id)
	}
	return false
}

// reserve is promise for who does not wait.
func (s *slots) reserve(id nic.ID, m pool.Machine, free int, before map[nic.ID]pool.Machine) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	others := s.held(m, "")
	maps.Copy(others, before)
	delete(others, id)
	if free > len(others) {
		s.give(id, m)
		return true
	}
	return false
}

// keep notes a promise that was given before: in an earlier run.
func (s *slots) keep(id nic.ID, m pool.Machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give(id, m)
}

// drop ends a NIC's promise, and returns the machine if it had one.
func (s *slots) drop(id nic.ID) (pool.Machine, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(id)
}

// give and take are for who holds the lock.
func (s *slots) give(id nic.ID, m pool.Machine) {
	s.take(id)
	s.promised[id] = m
	if s.at[m] == nil {
		s.at[m] = map[nic.ID]struct{}{}
	}
	s.at[m][id] = struct{}{}
}

func (s *slots) take(id nic.ID) (pool.Machine, bool) {
	m, had := s.promised[id]
	if had {
		delete(s.promised, id)
		if delete(s.at[m], id); len(s.at[m]) == 0 {
			delete(s.at, m)
		}
	}
	return m, had
}

// isAwaited says whether NICs wait for a promise on m.
func (s *slots) isAwaited(m pool.Machine) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting[m]) > 0
}

// next takes the NIC that has waited longest.
func (s *slots) next(m pool.Machine) (nic.ID, bool) {
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

// machineOf is what a NIC takes a slot of.
func machineOf(n nic.NIC) pool.Machine {
	return pool.Machine{Provider: n.Provider, Instance: n.Instance, Members: n.Spec.Cloud.Trunk}
}

// machineFor is what NICs of the network take slots of on a node.
func machineFor(network nic.Network, node nic.Node) pool.Machine {
	return pool.Machine{Provider: network.Provider, Instance: instanceOf(node, network.Provider), Members: network.Cloud.Trunk}
}

// limitsAt is what the machine can hold.
func limitsAt(ctx context.Context, p provider.Provider, m pool.Machine) (provider.Limits, error) {
	if !m.Members {
		return p.Limits(ctx, m.Instance)
	}
	t, ok := provider.As[provider.Trunking](p)
	if !ok {
		return provider.Limits{}, provider.Errorf(provider.ErrInvalid, "provider %s has no trunks, and its network mode trunk", m.Provider)
	}
	return t.Members(ctx, m.Instance)
}

// limits asks a machine's provider what it has room for.
func (a *Allocator) limits(ctx context.Context, m pool.Machine) (provider.Limits, error) {
	p := a.opts.Providers[m.Provider]
	ctx, cancel := context.WithTimeout(ctx, worstCall(p))
	defer cancel()
	return limitsAt(ctx, p, m)
}

// Machines are asked for their slots so many at a time, and all of them within
// that time, however many hang.
const (
	askedAtOnce  = 8
	askAllWithin = time.Minute
)

// freeSlots is how many slots of each machine are free and promised to nobody.
// Those that do not answer are missing, and the error says why; a machine that
// hangs is asked once, and the others meanwhile.
func (a *Allocator) freeSlots(ctx context.Context, machines []pool.Machine) (map[pool.Machine]int, error) {
	ctx, cancel := context.WithTimeout(ctx, askAllWithin)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards what follows
		free = map[pool.Machine]int{}
		errs []error
	)
	asking := gate.New(askedAtOnce)
	for _, m := range machines {
		wg.Go(func() {
			var limits provider.Limits
			err := asking.Pass(func() (err error) {
				limits, err = a.limits(ctx, m)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("ask %s for free slots: %w", m.Instance, err))
				return
			}
			free[m] = limits.Free - len(a.slots.on(m))
		})
	}
	wg.Wait()
	return free, errors.Join(errs...)
}

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
func (a *Allocator) admitNext(m pool.Machine) {
	if id, ok := a.slots.next(m); ok {
		a.queue.Wake(nicKey(id))
	}
}
