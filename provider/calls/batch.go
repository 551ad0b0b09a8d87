package calls

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/provider"
)

const (
	// gather is how long a question waits for others to go along with it, and Spacing
	// how far apart calls are at least: a crowd's questions make ten calls in a second,
	// however many they are.
	gather  = 5 * time.Millisecond
	Spacing = 100 * time.Millisecond
)

// A Batcher answers questions of many callers by few calls: what is asked while a
// call is on its way goes with the next. An answer is never older than its
// question.
type Batcher[K comparable, V any] struct {
	max   int
	worst time.Duration
	admit func(context.Context) error
	fetch func(context.Context, []K) (map[K]V, error)

	mu      sync.Mutex
	next    *batch[K, V]
	running bool
	last    time.Time // when the last call began
}

// A batch is one call and those that wait for it.
type batch[K comparable, V any] struct {
	keys map[K]bool
	done chan struct{} // closed once got and err are there
	got  map[K]V
	err  error
}

// NewBatcher returns a batcher. admit waits until one fetch may be made, and fetch, which
// takes worst at most, gets most keys at most, and has no key in its answer that is not
// there.
func NewBatcher[K comparable, V any](most int, worst time.Duration, admit func(context.Context) error, fetch func(context.Context, []K) (map[K]V, error)) *Batcher[K, V] {
	return &Batcher[K, V]{max: most, worst: worst, admit: admit, fetch: fetch}
}

// Ask returns what there is of the keys. If ctx ends first, its error is returned
// and the call goes on for the others.
func (b *Batcher[K, V]) Ask(ctx context.Context, keys ...K) (map[K]V, error) {
	if err := ctx.Err(); err != nil {
		return nil, provider.NoAnswer(err)
	}
	if len(keys) == 0 {
		return map[K]V{}, nil
	}
	mine := b.join(ctx, keys)
	select {
	case <-mine.done:
	case <-ctx.Done():
		return nil, provider.NoAnswer(ctx.Err())
	}
	if mine.err != nil {
		return nil, mine.err
	}
	got := map[K]V{}
	for _, k := range keys {
		if v, ok := mine.got[k]; ok {
			got[k] = v
		}
	}
	return got, nil
}

func (b *Batcher[K, V]) join(ctx context.Context, keys []K) *batch[K, V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = &batch[K, V]{keys: map[K]bool{}, done: make(chan struct{})}
	}
	for _, k := range keys {
		b.next.keys[k] = true
	}
	if !b.running {
		b.running = true
		go b.run(context.WithoutCancel(ctx)) // it is the call of all that join
	}
	return b.next
}

// run makes calls as long as there are questions.
func (b *Batcher[K, V]) run(ctx context.Context) {
	for {
		b.mu.Lock()
		wait := max(gather, time.Until(b.last.Add(Spacing)))
		b.mu.Unlock()
		time.Sleep(wait)
		b.one(ctx)
		b.mu.Lock()
		if b.next == nil {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}

func (b *Batcher[K, V]) one(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.worst)
	defer cancel()
	refused := b.admit(ctx) // first, so that all that come until then go along
	b.mu.Lock()
	now := b.next
	b.next, b.last = nil, time.Now()
	b.mu.Unlock()
	defer close(now.done)
	if now.err = refused; refused != nil {
		return
	}
	now.got = map[K]V{}
	first := true
	for keys := range slices.Chunk(slices.Collect(maps.Keys(now.keys)), b.max) {
		if !first {
			if now.err = b.admit(ctx); now.err != nil {
				return
			}
		}
		first = false
		got, err := b.fetch(ctx, keys)
		if err != nil {
			now.err = err
			return
		}
		maps.Copy(now.got, got)
	}
}
