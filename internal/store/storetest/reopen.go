package storetest

import (
	"errors"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

func closeEndsAll(t *testing.T, o Opened) {
	ctx := t.Context()
	w, idle, term := watch(t, o.Store, "", o.start), watch(t, o.Store, "", o.start), lead(t, o.Store, "allocator")
	next(t, w)
	result := make(chan error, 1)
	go func() {
		_, err := w.Next(ctx)
		result <- err
	}()
	o.settle()
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
	first := commit(t, o.Store, put("a", "1"), put("b", "1"), put("c", ""))
	second := commit(t, o.Store, store.Update("a", []byte("2"), first))
	last := commit(t, o.Store, store.Delete("b", first))
	for range 2 {
		s := o.Reopen(t)
		now := revision(t, s)
		if now < last || o.bubble && now != last {
			t.Fatalf("reopened at revision %d, want %d", now, last)
		}
		wantRecord(t, s, "a", "2", second)
		wantNone(t, s, "b")
		wantRecord(t, s, "c", "", first)
		if _, err := s.Watch(t.Context(), "", last-1); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("watch from before the reopening: got %v, want ErrCompacted", err)
		}
		refuse(t, s, store.ErrConflict, store.Update("a", nil, first))
		w := watch(t, s, "", now)
		made := commit(t, s, put("new", ""))
		if made <= last {
			t.Errorf("got revision %d, after %d", made, last)
		}
		last = commit(t, s, store.Delete("new", made))
		wantEvents(t, w, text(store.Event{Record: store.Record{Key: "new", Rev: made}}),
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
