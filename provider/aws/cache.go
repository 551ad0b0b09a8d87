package aws

import (
	"sync"
	"time"
)

// A cache keeps what changes seldom.
type cache[K comparable, V any] struct {
	kept time.Duration

	mu  sync.Mutex
	all map[K]cached[V]
}

type cached[V any] struct {
	value V
	until time.Time
}

// newCache returns a cache whose entries live for kept.
func newCache[K comparable, V any](kept time.Duration) *cache[K, V] {
	return &cache[K, V]{kept: kept, all: map[K]cached[V]{}}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.all[k]
	if !ok || time.Now().After(e.until) {
		delete(c.all, k)
		var none V
		return none, false
	}
	return e.value, true
}

func (c *cache[K, V]) put(k K, v V) { c.keep(k, v, c.kept) }

func (c *cache[K, V]) keep(k K, v V, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[k] = cached[V]{v, time.Now().Add(d)}
}

func (c *cache[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, k)
}
