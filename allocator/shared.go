package allocator

import "unique"

// shared is the same word for all that have it, for what is remembered of each record:
// of half a million NICs each has words of its own, such as its node's name, by its
// record, and there are few different ones.
func shared[T ~string](word T) T { return T(unique.Make(string(word)).Value()) }
