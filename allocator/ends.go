package allocator

import (
	"container/heap"
	"time"
)

// ends are times by key, the next one first.
type ends struct {
	at    map[string]time.Time
	order endsInOrder // also such as do not hold any more
}

// An end is when something is over.
type end struct {
	at  time.Time
	key string
}

func newEnds() ends { return ends{at: map[string]time.Time{}} }

// set notes when a key's time is over.
func (e *ends) set(key string, at time.Time) {
	e.at[key] = at
	heap.Push(&e.order, end{at, key})
}

func (e *ends) drop(key string) { delete(e.at, key) }

// over are the keys whose time is over by now, and next is when that of the first of
// the others is; zero without any. All stay until they are dropped.
func (e *ends) over(now time.Time) (keys []string, next time.Time) {
	var again []end
	for len(e.order) > 0 {
		first := e.order[0]
		at, holds := e.at[first.key]
		holds = holds && at.Equal(first.at)
		if holds && first.at.After(now) {
			next = first.at
			break
		}
		heap.Pop(&e.order)
		if holds {
			again = append(again, first)
		}
	}
	for i, o := range again {
		if i > 0 && again[i-1] == o { // set twice to the same
			continue
		}
		keys = append(keys, o.key)
		heap.Push(&e.order, o)
	}
	return keys, next
}

type endsInOrder []end

func (o endsInOrder) Len() int { return len(o) }
func (o endsInOrder) Less(i, j int) bool {
	return o[i].at.Before(o[j].at) || o[i].at.Equal(o[j].at) && o[i].key < o[j].key
}
func (o endsInOrder) Swap(i, j int) { o[i], o[j] = o[j], o[i] }
func (o *endsInOrder) Push(x any)   { *o = append(*o, x.(end)) } //nolint:forcetypeassert // of this file alone
func (o *endsInOrder) Pop() any {
	last := (*o)[len(*o)-1]
	*o = (*o)[:len(*o)-1]
	return last
}
