// Package keyed runs work by key: one run at a time per key, many wakes are
// one run, and a failed run comes back after a growing wait.
package keyed

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// Work brings what key names to where it should be, reading everything afresh.
// It returns how long to wait until it wants to run again without being woken
// (0: not at all). An error brings it back after a back-off.
type Work func(ctx context.Context, key string) (again time.Duration, err error)

// Options are the parts of a Queue.
type Options struct {
	Work    Work         // required
	Workers int          // runs at a time; required
	Log     *slog.Logger // required; gets the errors of Work, the same one not too often
	// About is what a line about a key says besides, as attributes for slog: whose
	// it is. Optional.
	About func(key string) []any
	// First and Max bound the back-off after errors; default 100 ms and 30 s.
	First, Max time.Duration
	// Group says whose a key is: those who have keys waiting take turns, so that
	// one's thousands do not hold up another's few. It must not wait. Optional:
	// without it all are one group.
	Group func(key string) string
}

// tellAgain is how often an error that stays the same is logged as a warning;
// in between it is for those who debug.
const tellAgain = 5 * time.Minute

// A Queue holds the keys that are to be worked on.
type Queue struct {
	opts Options

	mu    sync.Mutex // guards all following fields
	items map[string]*item
	ready turns // keys in queued state
	some  chan struct{}
}

type item struct {
	queued, running, dirty bool
	since                  time.Time // when the run began, while running
	backoff                retry.Backoff
	timer                  *time.Timer // pending delayed wake
	told                   string      // the error that was logged last
	toldAt                 time.Time
}

// New makes a queue. Keys may be woken before Run.
func New(opts Options) *Queue {
	if opts.First == 0 {
		opts.First = 100 * time.Millisecond
	}
	if opts.Max == 0 {
		opts.Max = 30 * time.Second
	}
	if opts.Group == nil {
		opts.Group = func(string) string { return "" }
	}
	return &Queue{opts: opts, items: map[string]*item{}, ready: turns{of: map[string][]string{}}, some: make(chan struct{}, 1)}
}

// Wake has key worked on soon: once, however often it is woken before that. A
// key that is being worked on is worked on once more afterwards.
func (q *Queue) Wake(key string) {
	group := q.opts.Group(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeLocked(key, group)
}

func (q *Queue) wakeLocked(key, group string) {
	it := q.items[key]
	if it == nil {
		it = &item{backoff: retry.Backoff{First: q.opts.First, Max: q.opts.Max}}
		q.items[key] = it
	}
	it.stopTimer()
	switch {
	case it.queued:
	case it.running:
		it.dirty = true
	default:
		it.queued = true
		q.ready.push(group, key)
		q.signal()
	}
}

func (it *item) stopTimer() {
	if it.timer != nil {
		it.timer.Stop()
		it.timer = nil
	}
}

func (q *Queue) signal() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and returns when the last run has ended.
func (q *Queue) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range q.opts.Workers {
		wg.Go(func() { q.worker(ctx) })
	}
	wg.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.items {
		it.stopTimer()
	}
}

func (q *Queue) worker(ctx context.Context) {
	for {
		key, ok := q.next(ctx)
		if !ok {
			return
		}
		again, err := q.run(ctx, key)
		q.done(ctx, key, again, err)
	}
}

func (q *Queue) next(ctx context.Context) (string, bool) {
	for {
		q.mu.Lock()
		if q.ready.len > 0 && ctx.Err() == nil {
			key := q.ready.pop()
			it := q.items[key]
			it.queued, it.running, it.since = false, true, time.Now()
			if q.ready.len > 0 {
				q.signal() // for the next worker
			}
			q.mu.Unlock()
			return key, true
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return "", false
		case <-q.some:
		}
	}
}

// Longest is the key whose run has been going on for longest, and for how
// long; "" and 0 if nothing runs. A run that never ends holds its key and its
// worker for good.
func (q *Queue) Longest() (key string, age time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k, it := range q.items {
		if it.running && (key == "" || time.Since(it.since) > age) {
			key, age = k, time.Since(it.since)
		}
	}
	return key, age
}

// Load is how many keys are being worked on, and how many wait for a worker.
func (q *Queue) Load() (busy, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.items {
		if it.running {
			busy++
		}
	}
	return busy, q.ready.len
}

// run turns a panic into an error: one bad key must not end the daemon.
func (q *Queue) run(ctx context.Context, key string) (again time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return q.opts.Work(ctx, key)
}

// isNews says whether the error is another than the key's last one, or that
// one was told a while ago.
func (q *Queue) isNews(key string, err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[key]
	if it.told == err.Error() && time.Since(it.toldAt) < tellAgain {
		return false
	}
	it.told, it.toldAt = err.Error(), time.Now()
	return true
}

func (q *Queue) done(ctx context.Context, key string, again time.Duration, err error) {
	if err != nil && ctx.Err() == nil {
		level := slog.LevelDebug
		if q.isNews(key, err) {
			level = slog.LevelWarn
		}
		attrs := []any{"key", key}
		if q.opts.About != nil {
			attrs = append(attrs, q.opts.About(key)...)
		}
		q.opts.Log.Log(ctx, level, "work failed, will try again", append(attrs, "err", err)...)
	}
	group := q.opts.Group(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[key]
	it.running = false
	if err != nil {
		again = it.backoff.Next()
	} else {
		it.backoff.Reset()
		it.told = ""
	}
	switch {
	case it.dirty:
		it.dirty = false
		q.wakeLocked(key, group)
	case ctx.Err() != nil:
	case again > 0:
		it.timer = time.AfterFunc(again, func() { q.Wake(key) })
	default:
		delete(q.items, key)
	}
}
