package cloudsim

import (
	"container/heap"
	"time"
)

// An event is something that happens by itself.
type event struct {
	at   time.Time
	n    int // order among those of one time
	do   func(at time.Time)
	dead bool
}

// An agenda is what is still to happen, soonest first.
type agenda struct {
	events queue
	n      int
}

// add lets do happen at a time, which is then its argument, under the lock.
func (a *agenda) add(at time.Time, do func(at time.Time)) *event {
	e := &event{at: at, do: do}
	a.put(e)
	return e
}

// put puts an event on the agenda.
func (a *agenda) put(e *event) {
	a.n++
	e.n = a.n
	heap.Push(&a.events, e)
}

// catchUp lets happen what was due by now, in its order.
func (a *agenda) catchUp(now time.Time) {
	for len(a.events) > 0 && !a.events[0].at.After(now) {
		if e, ok := heap.Pop(&a.events).(*event); ok && !e.dead {
			e.do(e.at)
		}
	}
}

type queue []*event

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].n < q[j].n
	}
	return q[i].at.Before(q[j].at)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push and Pop are for package heap.
func (q *queue) Push(x any) {
	if e, ok := x.(*event); ok {
		*q = append(*q, e)
	}
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
