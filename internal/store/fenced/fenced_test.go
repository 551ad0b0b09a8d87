package fenced_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/fenced"
	"github.com/nicferry/nicferry/internal/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFencedByItsTerm(t *testing.T) {
	t.Parallel()
	records := memstore.New(memstore.Options{})
	defer records.Close()
	term, err := records.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	s := fenced.New(records, term)
	rev, err := s.Commit(t.Context(), store.Create("a", nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Holds(t.Context()); err != nil {
		t.Errorf("while it leads: %v", err)
	}
	if _, err := s.Commit(t.Context(), store.Create("a", nil)); !errors.Is(err, store.ErrConflict) || errors.Is(err, fenced.ErrOver) {
		t.Errorf("a conflict: got %v", err)
	}
	if err := term.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Even what conflicts besides is told to be over.
	for _, op := range []store.Op{store.Create("b", nil), store.Update("a", nil, rev)} {
		if _, err := s.Commit(t.Context(), op); !errors.Is(err, fenced.ErrOver) || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) {
			t.Errorf("commit of %s: got %v, want ErrOver", op.Key, err)
		}
	}
	if err := s.Holds(t.Context()); !errors.Is(err, fenced.ErrOver) {
		t.Errorf("got %v, want ErrOver", err)
	}
	if list, _, err := s.List(t.Context(), "", "", 0); err != nil || len(list) != 1 {
		t.Errorf("reads: got %v, %v", list, err)
	}
}
