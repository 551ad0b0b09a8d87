package boltstore

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

// Once a commit's outcome is unknown no other may build on it.
func TestUnknownOutcomeStopsTheStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	term, err := s.Lead(ctx, "allocator")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil { // the file is lost
		t.Fatal(err)
	}
	for range 2 {
		_, err = s.Commit(ctx, store.Create("a", nil))
		if err == nil || !strings.Contains(err.Error(), "outcome of a commit is unknown, restart nicferryd") ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want an error that says what to do", err)
		}
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrClosed) {
			t.Errorf("%v is of a kind that callers take for something else", err)
		}
	}
	select {
	case <-term.Lost():
	default:
		t.Error("the leader of a store that cannot be written has not lost its term")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
