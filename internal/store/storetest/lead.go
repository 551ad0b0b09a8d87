package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

func lead(t *testing.T, s store.Store, name string) store.Term {
	t.Helper()
	term, err := s.Lead(t.Context(), name)
	if err != nil {
		t.Fatalf("lead: %v", err)
	}
	return term
}

func resign(t *testing.T, term store.Term) {
	t.Helper()
	if err := term.Resign(t.Context()); err != nil {
		t.Fatalf("resign: %v", err)
	}
	if !lost(term) {
		t.Error("Lost is open after Resign")
	}
}

func lost(term store.Term) bool {
	select {
	case <-term.Lost():
		return true
	default:
		return false
	}
}

func oneLeaderAtATime(t *testing.T, o Opened) {
	first := lead(t, o.Store, "allocator")
	other := lead(t, o.Store, "sweep") // another name is another leadership
	var (
		wg      sync.WaitGroup
		leaders atomic.Int32
		mu      sync.Mutex
		numbers = []uint64{first.Number()}
	)
	for range 5 {
		wg.Go(func() {
			term, err := o.Store.Lead(t.Context(), "allocator")
			if err != nil {
				t.Errorf("lead: %v", err)
				return
			}
			if n := leaders.Add(1); n != 1 {
				t.Errorf("%d leaders", n)
			}
			mu.Lock()
			numbers = append(numbers, term.Number())
			mu.Unlock()
			leaders.Add(-1)
			if err := term.Resign(t.Context()); err != nil {
				t.Errorf("resign: %v", err)
			}
		})
	}
	o.settle()
	if len(numbers) != 1 {
		t.Fatal("a second leader did not wait for the first")
	}
	if lost(first) {
		t.Error("Lost is closed though nobody else leads")
	}
	resign(t, first)
	wg.Wait()
	if numbers[0] == 0 {
		t.Error("the first term's number is 0")
	}
	for i := 1; i < len(numbers); i++ {
		if numbers[i] <= numbers[i-1] {
			t.Errorf("the terms' numbers do not grow: %d", numbers)
		}
	}
	if lost(other) {
		t.Error("another name's leader lost its term")
	}
	resign(t, first) // again
	resign(t, other)
}

func leaderWaitEnds(t *testing.T, o Opened) {
	term := lead(t, o.Store, "allocator")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	wait := func(ctx context.Context) {
		_, err := o.Store.Lead(ctx, "allocator")
		result <- err
	}
	go wait(ctx)
	o.settle()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
	// A resignation whose write is given up still frees the seat.
	if err := term.Resign(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("resign: got %v, want context.Canceled", err)
	}
	if !lost(term) {
		t.Error("Lost is open after Resign")
	}
	again := lead(t, o.Store, "allocator")
	refuse(t, o.Store, store.ErrConflict, term.Check())
	go wait(t.Context())
	o.settle()
	if err := o.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: got %v, want ErrClosed", err)
	}
	if !lost(again) {
		t.Error("Lost is open after Close")
	}
}

func termFencesCommits(t *testing.T, o Opened) {
	first := lead(t, o.Store, "allocator")
	rev := commit(t, o.Store, first.Check(), put("a", "1"))
	wantRecord(t, o.Store, "a", "1", rev)
	resign(t, first)
	refuse(t, o.Store, store.ErrConflict, first.Check(), put("b", "1"))
	second := lead(t, o.Store, "allocator")
	err := refuse(t, o.Store, store.ErrConflict, first.Check(), put("b", "1"))
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || conflict.Key != store.LeaderPrefix+"allocator" {
		t.Errorf("got %v, want a conflict on the leader record", err)
	}
	wantNone(t, o.Store, "b")
	commit(t, o.Store, second.Check(), put("b", "2"))
	commit(t, o.Store, second.Check(), put("c", "2"))
	// Resigning from the first again does no harm to the second.
	resign(t, first)
	commit(t, o.Store, second.Check(), put("d", "2"))
	if lost(second) {
		t.Error("the second term is lost")
	}
}

func leaderRecordsAreTheStores(t *testing.T, o Opened) {
	key := store.LeaderPrefix + "allocator"
	wantNone(t, o.Store, key)
	term := lead(t, o.Store, "allocator")
	rec, err := o.Store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, o.Store, store.ErrInvalid, store.Delete(key, rec.Rev))
	refuse(t, o.Store, store.ErrInvalid, store.Update(key, nil, rec.Rev))
	resign(t, term)
	wantNone(t, o.Store, key)
	for _, name := range []string{"", "a\xff", string(make([]byte, store.MaxKey))} {
		if _, err := o.Store.Lead(t.Context(), name); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("lead %.10q: got %v, want ErrInvalid", name, err)
		}
	}
}
