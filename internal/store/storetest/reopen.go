package storetest

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/store"
)

func closeEndsAll(t *testing.T, o Opened) {
	ctx := t.Context()
	w, idle, term := watch(t, o.Store, "", 0), watch(t, o.Store, "", 0), lead(t, o.Store, "allocator")
	next(t, w)
	result := make(chan error, 1)
	go func() {
		_, err := w.Next(ctx)
		result <- err
	}()
	synctest.Wait()
	for range 2 {
		if err := o.Store.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	errs := map[string]error{"waiting Next": <-result}
	_, errs["Next"] = idle.Next(ctx)
	_, errs["Get"] = o.Store.Get(ctx, "a")
	_, _, errs["List"] = o.Store.List(ctx, "", "", 0)
	_, errs["Commit"] = o.Store.Commit(ctx, put("a", ""))
	_, errs["Commit of checks"] = o.Store.Commit(ctx, term.Check())
	_, errs["Watch"] = o.Store.Watch(ctx, "", 0)
	_, errs["Lead"] = o.Store.Lead(ctx, "allocator")
	_, errs["Lead other"] = o.Store.Lead(ctx, "sweep")
	for name, err := range errs {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: got %v, want ErrClosed", name, err)
		}
	}
	resign(t, term)
}

func reopenKeepsAll(t *testing.T, o Opened) {
	if o.Reopen == nil {
		return // the store forgets, and says so
	}
	commit(t, o.Store, put("a", "1"), put("b", "1"), put("c", ""))
	commit(t, o.Store, store.Update("a", []byte("2"), 1))
	last := commit(t, o.Store, store.Delete("b", 1))
	for range 2 {
		s := o.Reopen(t)
		if rev := revision(t, s); rev != last {
			t.Fatalf("reopened at revision %d, want %d", rev, last)
		}
		wantRecord(t, s, "a", "2", 2)
		wantNone(t, s, "b")
		wantRecord(t, s, "c", "", 1)
		if _, err := s.Watch(t.Context(), "", last-1); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("watch from before the reopening: got %v, want ErrCompacted", err)
		}
		refuse(t, s, store.ErrConflict, store.Update("a", nil, 1))
		w := watch(t, s, "", last)
		if rev := commit(t, s, put("new", "")); rev != last+1 {
			t.Errorf("got revision %d, want %d", rev, last+1)
		}
		last = commit(t, s, store.Delete("new", last+1))
		wantEvents(t, w, text(store.Event{Record: store.Record{Key: "new", Rev: last - 1}}),
			text(store.Event{Record: store.Record{Key: "new", Rev: last}, Gone: true}))
	}
}

// A process that dies as leader leaves its record; the next one leads at once,
// and what the dead one had on its way is refused.
func reopenEndsTheTerm(t *testing.T, o Opened) {
	if o.Reopen == nil {
		return
	}
	first := lead(t, o.Store, "allocator")
	s := o.Reopen(t)
	if !lost(first) {
		t.Error("Lost is open after Close")
	}
	second := lead(t, s, "allocator")
	if second.Number() <= first.Number() {
		t.Errorf("term %d follows term %d", second.Number(), first.Number())
	}
	refuse(t, s, store.ErrConflict, first.Check(), put("a", ""))
	commit(t, s, second.Check(), put("a", ""))
	resign(t, second)
	s = o.Reopen(t)
	if third := lead(t, s, "allocator"); third.Number() <= second.Number() {
		t.Errorf("term %d follows term %d", third.Number(), second.Number())
	}
}
