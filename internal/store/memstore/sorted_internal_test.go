package memstore

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

// However keys come and go, over many chunks, the records are those of a map, in order.
func TestSortedIsAMapInOrder(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	var s sorted
	want := map[string]bool{}
	for n := range 20_000 {
		key := fmt.Sprintf("%05d", dice.IntN(5000))
		i, found := s.find(key)
		if found != want[key] || found && s.get(i).Key != key {
			t.Fatalf("step %d: key %s is found %t", n, key, found)
		}
		if grows := dice.IntN(20_000) > n; found && !grows { // more and more are removed
			s.remove(i)
			delete(want, key)
		} else if !found && grows {
			s.insert(i, store.Record{Key: key})
			want[key] = true
		}
	}
	from, _ := s.find("02500")
	var got []string
	for r := range s.from(from) {
		got = append(got, r.Key)
	}
	all := slices.Sorted(maps.Keys(want))
	first, _ := slices.BinarySearch(all, "02500")
	if !slices.Equal(got, all[first:]) || len(s.chunks) < 3 {
		t.Errorf("%d records in %d chunks, want %d", len(got), len(s.chunks), len(all)-first)
	}
}
