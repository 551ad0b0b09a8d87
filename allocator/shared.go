package allocator

import "unique"

// shared is the same word for all that have it, for what is remembered of each record:
// of half a million NICs each has words of its own, such as its node's name, by its
// record, and there are few different ones.
func shared[T ~string](word T) T { return T(unique.Make(string(word)).Value()) }

// A few has for each key one of few different values, which it keeps once: half a million
// NICs are in a handful of phases and networks.
type few[K, V comparable] map[K]unique.Handle[V]

// at is the key's value, zero if it has none.
func (f few[K, V]) at(key K) (v V) {
	if kept, has := f[key]; has {
		v = kept.Value()
	}
	return v
}

func (f few[K, V]) put(key K, v V) { f[key] = unique.Make(v) }
