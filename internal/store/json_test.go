package store_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What several read of an event is decoded once, as what each of them wants it as; an
// event of which nobody has said so is decoded each time.
func TestOnce(t *testing.T) {
	t.Parallel()
	events := []store.Event{{Record: store.Record{Key: "a", Value: []byte(`{"N":[1]}`)}}, {Record: store.Record{Key: "b", Value: []byte(`no`)}}}
	type thing struct{ N []int }
	read := func() *int {
		t.Helper()
		v, err := store.DecodeJSON[thing](events[0].Record)
		if err != nil || len(v.N) != 1 || v.N[0] != 1 {
			t.Fatalf("got %+v, %v", v, err)
		}
		return &v.N[0]
	}
	if a, b := read(), read(); a == b {
		t.Error("two readers share what they may change")
	}
	store.Once(events)
	if a, b := read(), read(); a != b {
		t.Error("it was decoded twice")
	}
	if v, err := store.DecodeJSON[map[string][]int](events[0].Record); err != nil || v["N"][0] != 1 {
		t.Errorf("as another type: %v, %v", v, err)
	}
	for range 2 {
		if _, err := store.DecodeJSON[thing](events[1].Record); err == nil {
			t.Error("what does not decode is told once and then never again")
		}
	}
}
