package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/internal/store/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStore(t *testing.T) store.Store {
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { s.Close() })
	return s
}

func commit(t *testing.T, s store.Store, ops ...store.Op) store.Rev {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// filled has records of all sizes, and a leader.
func filled(t *testing.T) store.Store {
	t.Helper()
	s := newStore(t)
	for i := range 1500 {
		commit(t, s, store.Create(fmt.Sprintf("k/%04d", i), []byte(fmt.Sprint(i))))
	}
	commit(t, s, store.Create("large/1", make([]byte, store.MaxValue)), store.Create("large/2", make([]byte, store.MaxValue)))
	if _, err := s.Lead(t.Context(), "allocator"); err != nil {
		t.Fatal(err)
	}
	return s
}

// contents are all records but those of leaders.
func contents(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	list, _, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, rec := range list {
		if rec.Key != store.LeaderPrefix+"allocator" {
			all[rec.Key] = string(rec.Value)
		}
	}
	return all
}

func wantSame(t *testing.T, from, to store.Store) {
	t.Helper()
	want, got := contents(t, from), contents(t, to)
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for key := range want {
		if got[key] != want[key] {
			t.Errorf("%s differs", key)
		}
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	from, to := filled(t), newStore(t)
	n, err := transfer.Copy(t.Context(), from, to, func(int) {})
	if err != nil || n != 1502 {
		t.Fatalf("got %d, %v", n, err)
	}
	wantSame(t, from, to)
	if err := transfer.Unfinished(t.Context(), to); err != nil {
		t.Error(err)
	}
	if _, err := transfer.Copy(t.Context(), from, to, func(int) {}); !errors.Is(err, transfer.ErrNotEmpty) {
		t.Errorf("again: got %v, want ErrNotEmpty", err)
	}
}

// A failing store takes some commits and then none.
type failing struct {
	store.Store
	takes int
}

var errFull = errors.New("full")

func (f *failing) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if f.takes--; f.takes < 0 {
		return 0, errFull
	}
	return f.Store.Commit(ctx, ops...)
}

// A copy that is broken off after any commit goes on when it is begun again, also when
// records have changed since.
func TestCopyGoesOn(t *testing.T) {
	t.Parallel()
	for _, takes := range []int{0, 1, 2, 7, 17} {
		from, to := filled(t), newStore(t)
		if _, err := transfer.Copy(t.Context(), from, &failing{to, takes}, func(int) {}); !errors.Is(err, errFull) {
			t.Fatalf("%d commits: got %v", takes, err)
		}
		if err := transfer.Unfinished(t.Context(), to); takes > 0 && !errors.Is(err, transfer.ErrUnfinished) {
			t.Errorf("%d commits: got %v, want ErrUnfinished", takes, err)
		}
		gone, err := from.Get(t.Context(), "k/0003")
		if err != nil {
			t.Fatal(err)
		}
		changed, err := from.Get(t.Context(), "k/0004")
		if err != nil {
			t.Fatal(err)
		}
		commit(t, from, store.Delete("k/0003", gone.Rev), store.Update("k/0004", []byte("new"), changed.Rev))
		if n, err := transfer.Copy(t.Context(), from, to, func(int) {}); err != nil || n != 1501 {
			t.Fatalf("%d commits, and again: got %d, %v", takes, n, err)
		}
		wantSame(t, from, to)
	}
}
