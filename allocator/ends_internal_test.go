package allocator

import (
	"slices"
	"testing"
	"time"
)

// What is over stays so until it is dropped, and a time that was set anew is forgotten.
func TestEndsAreInOrder(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	e := newEnds()
	for _, key := range []string{"c", "a", "b"} {
		e.set(key, at(10))
	}
	e.set("b", at(30))
	e.set("a", at(10))
	for range 2 {
		if keys, next := e.over(at(10)); !slices.Equal(keys, []string{"a", "c"}) || !next.Equal(at(30)) {
			t.Fatalf("over are %v, the next at %s", keys, next)
		}
	}
	e.drop("a")
	if keys, next := e.over(at(40)); !slices.Equal(keys, []string{"c", "b"}) || !next.IsZero() {
		t.Fatalf("over are %v, the next at %s", keys, next)
	}
}
