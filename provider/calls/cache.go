// Package calls makes few calls of a cloud: within its rates, for many questions at once,
// and for what is remembered for a while.
package calls

import (
	"sync"
	"time"
)

// A Cache keeps what changes seldom.
type Cache[K comparable, V any] struct {
	kept time.Duration

	mu  sync.Mutex
	all map[K]cached[V]
}

type cached[V any] struct {
	value V
	until time.Time
}

// NewCache returns a cache whose entries live for kept.
func NewCache[K comparable, V any](kept time.Duration) *Cache[K, V] {
	return &Cache[K, V]{kept: kept, all: map[K]cached[V]{}}
}

// Get returns what is kept under the key.
func (c *Cache[K, V]) Get(k K) (V, bool) {
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

// Put keeps a value as long as all.
func (c *Cache[K, V]) Put(k K, v V) { c.Keep(k, v, c.kept) }

// Keep keeps a value for as long as it says.
func (c *Cache[K, V]) Keep(k K, v V, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[k] = cached[V]{v, time.Now().Add(d)}
}

// Drop forgets the key.
func (c *Cache[K, V]) Drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, k)
}
