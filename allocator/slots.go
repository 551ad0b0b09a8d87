package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
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

// slotAgain is when a NIC that waits for promises asks again by itself.
const slotAgain = 5 * time.Second

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

// place settles what the spec leaves open, after a look at whether the node
// has room, so that nothing is made for a node that is full.
func (a *Allocator) place(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if paced, ok := p.(*paced); ok { // while it waits for its turn it has no deadline
		if err := paced.book(n.ID); err != nil {
			return a.failed(ctx, n, err)
		}
	}
	m := machineOf(n)
	before := a.slots.on(m)
	limits, err := p.Limits(ctx, n.Instance)
	if err != nil {
		return a.failed(ctx, n, err)
	}
	if limits.Free <= 0 {
		a.admitNext(m) // it shall hear the same
		return 0, a.giveUp(ctx, n, a.because(nic.ReasonExhausted, "%s: 0 of %d %ss free for NICs of provider %s",
			n.Node, limits.NICs, cmp.Or(limits.Slot, "slot"), n.Provider))
	}
	if !a.slots.promise(n.ID, m, limits.Free, before) {
		return slotAgain, a.note(ctx, n.ID, &nic.Condition{
			Reason: nic.ReasonWaitingForSlot, Since: n.Since, Deadline: n.Since.Add(plugDeadline),
			Message: fmt.Sprintf("%d slots are free on %s at provider %s, and promised to NICs before this one", limits.Free, n.Node, n.Provider),
		})
	}
	spec := n.Spec
	if placer, ok := provider.As[provider.Placer](p); ok {
		node, _, found, err := get[nic.Node](a.look(ctx), nodeKey(n.Node))
		if err != nil || !found {
			return 0, errors.Join(err, fmt.Errorf("read node %s: found %v", n.Node, found))
		}
		if spec, err = placer.Place(ctx, spec, node); err != nil {
			return a.failed(ctx, n, err)
		}
	}
	return 0, a.change(ctx, n.ID, func(n *nic.NIC) bool {
		if n.Phase != nic.PhasePlanned || n.Placed {
			return false
		}
		n.Spec, n.Placed, n.Asked = spec, true, a.now()
		nic.ClearCondition(&n.Conditions, nic.ReasonWaitingForSlot, nic.ReasonWaitingForTurn)
		return true
	})
}
