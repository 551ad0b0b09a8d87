package vmagent

import (
	"context"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/keyed"
)

// asks is what each worker has to ask of the controller, in a queue of its
// own: a controller that is slow or away must not keep the workers from taking
// NICs back. Only a worker's last word counts, since each of its runs begins
// with a fresh look.
type asks struct {
	queue *keyed.Queue
	opts  Options
	// stale is told of the workers whose calls were refused as such; set before
	// the queue runs.
	stale func(key string)

	mu    sync.Mutex
	byKey map[string]*ask // until done
}

type ask struct {
	do func(context.Context) error
}

// newAsks makes the queue; about says what a line about a key says besides.
func newAsks(opts Options, about func(key string) []any) *asks {
	q := &asks{opts: opts, byKey: map[string]*ask{}}
	q.queue = keyed.New(keyed.Options{Work: q.work, Workers: opts.Workers, Log: opts.Log, About: about})
	return q
}

// put has do called, again and again until it succeeds, instead of what was put
// for the key before; nil is nothing to ask.
func (q *asks) put(key string, do func(context.Context) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if do == nil {
		delete(q.byKey, key)
		return
	}
	q.byKey[key] = &ask{do}
	q.queue.Wake(key)
}

func (q *asks) work(ctx context.Context, key string) (time.Duration, error) {
	q.mu.Lock()
	a := q.byKey[key]
	q.mu.Unlock()
	if a == nil {
		return 0, nil
	}
	err := a.do(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	stale := q.opts.Superseded(err)
	if (err == nil || stale) && q.byKey[key] == a {
		delete(q.byKey, key)
	}
	if stale { // what it knew is old: it decides afresh, or is over
		q.stale(key)
		return 0, nil
	}
	return 0, err
}
