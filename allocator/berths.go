package allocator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
)

// berths bounds how many NICs of one machine are worked on at a time, so that
// one that hangs never holds the workers that the others need. Whom there is no
// berth for waits without a worker, and is woken when there may be one.
type berths struct {
	most int // at a machine
	wake func(nic.ID)

	mu      sync.Mutex // guards what follows
	taken   map[pool.Machine]int
	waiting map[pool.Machine][]nic.ID // who has waited longest first
	waits   map[nic.ID]wait
}

// A wait is where a NIC waits, and since when.
type wait struct {
	at    pool.Machine
	since time.Time
}

// mostBerths is how many NICs of one machine are worked on at a time, at most.
const mostBerths = 4

// newBerths leaves half of the workers to the other machines, or more.
func newBerths(workers int, wake func(nic.ID)) *berths {
	return &berths{
		most: max(1, min(workers/2, mostBerths)), wake: wake,
		taken: map[pool.Machine]int{}, waiting: map[pool.Machine][]nic.ID{}, waits: map[nic.ID]wait{},
	}
}

// enter takes a berth at m, which leave gives back, or has the NIC wait for one
// and tells for how long it has.
func (b *berths) enter(m pool.Machine, id nic.ID) (waits time.Duration, in bool) {
	m.Members = false // they are one machine's
	b.mu.Lock()
	if b.taken[m] < b.most {
		b.taken[m]++
		b.mu.Unlock()
		b.forget(id)
		return 0, true
	}
	var next nic.ID
	some := false
	w, known := b.waits[id]
	if !known || w.at != m { // a NIC waits at one machine
		next, some = b.drop(id)
		w = wait{m, time.Now()}
		b.waiting[m], b.waits[id] = append(b.waiting[m], id), w
	}
	b.mu.Unlock()
	if some {
		b.wake(next)
	}
	return time.Since(w.since), false
}

// leave gives a berth back.
func (b *berths) leave(m pool.Machine) {
	m.Members = false
	b.mu.Lock()
	if b.taken[m]--; b.taken[m] == 0 {
		delete(b.taken, m)
	}
	next, some := b.next(m)
	b.mu.Unlock()
	if some {
		b.wake(next)
	}
}

// forget drops a NIC that waits no more, wherever it did.
func (b *berths) forget(id nic.ID) {
	b.mu.Lock()
	next, some := b.drop(id)
	b.mu.Unlock()
	if some {
		b.wake(next)
	}
}

// drop is forget for a caller that holds the lock. A wake was the NIC's, and passes on
// to who is next there.
func (b *berths) drop(id nic.ID) (next nic.ID, some bool) {
	w, waits := b.waits[id]
	if !waits {
		return "", false
	}
	delete(b.waits, id)
	m, queue := w.at, b.waiting[w.at]
	at := slices.Index(queue, id)
	if b.waiting[m] = slices.Delete(queue, at, at+1); len(queue) == 1 {
		delete(b.waiting, m)
	}
	return b.next(m)
}

// next is who takes the next berth at m, if there is one.
func (b *berths) next(m pool.Machine) (nic.ID, bool) {
	if len(b.waiting[m]) == 0 || b.taken[m] >= b.most {
		return "", false
	}
	return b.waiting[m][0], true
}

// crowded shows a NIC that has waited for a berth for long: the provider does
// not end what it does at the machine.
func (a *Allocator) crowded(ctx context.Context, n nic.NIC, waits time.Duration) error {
	c := nic.Condition{
		Reason: nic.ReasonWaitingForProvider, Since: n.Since,
		Message: fmt.Sprintf("provider %s is at %d other NICs of %s, and that does not end", n.Provider, a.berths.most, n.Node),
	}
	switch n.Phase {
	case nic.PhasePlanned:
		c.Deadline = n.Since.Add(plugDeadline)
	case nic.PhaseReturning, nic.PhaseRetiring:
		c.Deadline = n.Since.Add(returnDeadline)
	default:
		return nil
	}
	if waits < slotAgain {
		return nil
	}
	return a.note(ctx, n.ID, &c)
}
