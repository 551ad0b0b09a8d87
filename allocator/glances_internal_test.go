package allocator

import (
	"testing"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// A glance is at the record that there is: what was decoded before serves as long as
// the record is of the same revision, and no longer.
func TestGlances(t *testing.T) {
	t.Parallel()
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = s.Close() })
	e := &edit{ctx: t.Context(), store: s, glances: newGlances()}
	key := nodeKey("web1")
	put := func(node nic.Node, rev store.Rev) store.Rev {
		t.Helper()
		op, err := store.UpdateJSON(key, node, rev)
		if err != nil {
			t.Fatal(err)
		}
		if rev, err = s.Commit(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		return rev
	}
	look := func() (nic.Node, store.Rev, bool) {
		t.Helper()
		node, rev, found, err := peek[nic.Node](e, key)
		if err != nil {
			t.Fatal(err)
		}
		return node, rev, found
	}
	if _, _, found := look(); found {
		t.Error("found what is not there")
	}
	first := put(nic.Node{Name: "web1", Session: 1, Conditions: []nic.Condition{{Message: "m"}}}, 0)
	a, rev, _ := look()
	b, _, _ := look()
	if rev != first || a.Session != 1 || &a.Conditions[0] != &b.Conditions[0] {
		t.Errorf("got %+v at %d, and decoded it again", a, rev)
	}
	second := put(nic.Node{Name: "web1", Session: 2}, first)
	if now, rev, _ := look(); now.Session != 2 || rev != second {
		t.Errorf("after a change: %+v at %d", now, rev)
	}
	if _, err := s.Commit(t.Context(), store.Delete(key, second)); err != nil {
		t.Fatal(err)
	}
	if _, _, found := look(); found {
		t.Error("found what is gone")
	}
	e.glances.see(store.Event{Record: store.Record{Key: key}, Gone: true})
	if n := len(e.glances.all); n != 0 {
		t.Errorf("%d glances are kept of what is gone", n)
	}
}
