package virt

import "sync"

// queued is how many events wait for a slow reader before they collapse into
// one Reconnected.
const queued = 256

// A queue passes events on. It never blocks who adds one: that is libvirt's
// own loop, which the answers to all calls come through too.
type queue struct {
	out  chan Event
	wake chan struct{}
	stop chan struct{}

	mu      sync.Mutex
	waiting []Event
}

func newQueue() *queue {
	return &queue{out: make(chan Event), wake: make(chan struct{}, 1), stop: make(chan struct{})}
}

func (q *queue) add(e Event) {
	q.mu.Lock()
	if e.Kind == Reconnected || len(q.waiting) == queued {
		q.waiting, e = nil, Event{Kind: Reconnected} // look at everything: that says it all
	}
	q.waiting = append(q.waiting, e)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) next() (Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return Event{}, false
	}
	e := q.waiting[0]
	q.waiting = q.waiting[1:]
	return e, true
}

// run passes events on until stop is closed, and then closes out.
func (q *queue) run() {
	defer close(q.out)
	for {
		e, ok := q.next()
		if !ok {
			select {
			case <-q.wake:
				continue
			case <-q.stop:
				return
			}
		}
		select {
		case q.out <- e:
		case <-q.stop:
			return
		}
	}
}
