package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

func commitIsAllOrNothing(t *testing.T, o Opened) {
	first := commit(t, o.Store, put("a", "1"), put("b", "1"), put("c", "1"))
	refuse(t, o.Store, store.ErrConflict,
		store.Update("a", []byte("2"), first),
		store.Delete("b", first),
		put("new", "2"),
		store.Check("c", first+1),
	)
	wantRecord(t, o.Store, "a", "1", first)
	wantRecord(t, o.Store, "b", "1", first)
	wantNone(t, o.Store, "new")
	second := commit(t, o.Store,
		store.Update("a", []byte("2"), first),
		store.Delete("b", first),
		put("new", "2"),
		store.Check("c", first),
		store.Check("none", 0),
	)
	wantRecord(t, o.Store, "a", "2", second)
	wantNone(t, o.Store, "b")
	wantRecord(t, o.Store, "new", "2", second)
	wantRecord(t, o.Store, "c", "1", first)
}

func staleExpectationsConflict(t *testing.T, o Opened) {
	first := commit(t, o.Store, put("was", "1"), put("is", "1"))
	second := commit(t, o.Store, store.Delete("was", first), store.Update("is", []byte("2"), first))
	for name, test := range map[string]struct {
		op   store.Op
		have store.Rev
	}{
		"create over":     {put("is", "3"), second},
		"update stale":    {store.Update("is", nil, first), second},
		"update future":   {store.Update("is", nil, second+1), second},
		"update deleted":  {store.Update("was", nil, first), 0},
		"update none":     {store.Update("none", nil, 1), 0},
		"delete stale":    {store.Delete("is", first), second},
		"delete deleted":  {store.Delete("was", first), 0},
		"check stale":     {store.Check("is", first), second},
		"check deleted":   {store.Check("was", first), 0},
		"check none, is":  {store.Check("is", 0), second},
		"check was at":    {store.Check("was", second), 0},
		"check none at 1": {store.Check("none", 1), 0},
	} {
		err := refuse(t, o.Store, store.ErrConflict, put("other", ""), test.op)
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("%s: got %v, want a ConflictError", name, err)
			continue
		}
		if want := (store.ConflictError{Key: test.op.Key, Have: test.have, Want: test.op.Expect}); *conflict != want {
			t.Errorf("%s: got %+v, want %+v", name, *conflict, want)
		}
		if !strings.Contains(err.Error(), strconv.Quote(test.op.Key)) {
			t.Errorf("%s: %q does not name the key", name, err)
		}
	}
	wantRecord(t, o.Store, "is", "2", second)
}

func revisionCountsWritingCommits(t *testing.T, o Opened) {
	if rev := revision(t, o.Store); rev != 0 {
		t.Errorf("an empty store is at revision %d", rev)
	}
	if rev := commit(t, o.Store, store.Check("a", 0)); rev != 0 {
		t.Errorf("a check in an empty store: got revision %d", rev)
	}
	for want := store.Rev(1); want <= 5; want++ {
		key := fmt.Sprint(want)
		if rev := commit(t, o.Store, put(key, ""), put(key+"+", "")); rev != want {
			t.Errorf("commit %d: got revision %d", want, rev)
		}
		if rev := commit(t, o.Store, store.Check(key, want)); rev != want {
			t.Errorf("check after commit %d: got revision %d", want, rev)
		}
	}
	if rev := commit(t, o.Store, store.Delete("1", 1)); rev != 6 {
		t.Errorf("a delete: got revision %d, want 6", rev)
	}
	if rev := commit(t, o.Store); rev != 6 {
		t.Errorf("no ops: got revision %d, want 6", rev)
	}
}

func revisionGrows(t *testing.T, o Opened) {
	last := revision(t, o.Store)
	if rev := commit(t, o.Store, store.Check("a", 0)); rev < last {
		t.Errorf("a check in an empty store at %d: got revision %d", last, rev)
	}
	grow := func(ops ...store.Op) store.Rev {
		t.Helper()
		rev := commit(t, o.Store, ops...)
		if rev <= last {
			t.Errorf("a commit: got revision %d, after %d", rev, last)
		}
		if rev := commit(t, o.Store); rev < last {
			t.Errorf("no ops: got revision %d, after %d", rev, last)
		}
		last = rev
		return rev
	}
	for i := range 5 {
		key := fmt.Sprint(i)
		rev := grow(put(key, ""), put(key+"+", ""))
		wantRecord(t, o.Store, key, "", rev)
		wantRecord(t, o.Store, key+"+", "", rev)
	}
	rec, err := o.Store.Get(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	grow(store.Delete("1", rec.Rev))
}

func invalidCommitsAreRefused(t *testing.T, o Opened) {
	rev := commit(t, o.Store, put("is", ""))
	for name, ops := range map[string][]store.Op{
		"key twice":          {put("twice", "1"), put("twice", "2")},
		"put and check":      {put("twice", "1"), store.Check("twice", 0)},
		"empty key":          {put("", "")},
		"check of empty key": {store.Check("", 0)},
		"long key":           {put(strings.Repeat("k", store.MaxKey+1), "")},
		"key not UTF-8":      {put("a\xff", "")},
		"large value":        {store.Create("v", make([]byte, store.MaxValue+1))},
		"delete of nothing":  {store.Delete("is", 0)},
		"no kind":            {{Key: "k"}},
		"unknown kind":       {{Kind: 99, Key: "k"}},
		"leader record":      {put(store.LeaderPrefix+"x", "")},
	} {
		err := refuse(t, o.Store, store.ErrInvalid, append([]store.Op{put("other", "")}, ops...)...)
		if len(err.Error()) > 500 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
	commit(t, o.Store, put(strings.Repeat("k", store.MaxKey), ""))
	wantNone(t, o.Store, "other")
	wantRecord(t, o.Store, "is", "", rev)
}

func endedContextWritesNothing(t *testing.T, o Opened) {
	if _, err := o.Store.Commit(ended(), put("a", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: got %v, want context.Canceled", err)
	}
	wantNone(t, o.Store, "a")
	if _, err := o.Store.Get(ended(), "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: got %v, want context.Canceled", err)
	}
	if _, _, err := o.Store.List(ended(), "", "", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("list: got %v, want context.Canceled", err)
	}
	if _, err := o.Store.Watch(ended(), "", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("watch: got %v, want context.Canceled", err)
	}
}

// Many add to one counter, each by reading it and writing it back; each also
// writes a record of its own in the same commit.
func noUpdateIsLost(t *testing.T, o Opened) {
	const writers, each = 16, 8
	commit(t, o.Store, put("counter", "0"))
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := increment(t.Context(), o.Store, fmt.Sprintf("own/%d/%d", w, i)); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	const total = writers * each
	own, _, err := o.Store.List(t.Context(), "own/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(own) != total {
		t.Fatalf("%d records, want %d", len(own), total)
	}
	slices.SortFunc(own, func(x, y store.Record) int { return cmp.Compare(x.Rev, y.Rev) })
	for i, rec := range own {
		if i > 0 && own[i-1].Rev == rec.Rev {
			t.Errorf("%q and %q have revision %d", rec.Key, own[i-1].Key, rec.Rev)
		}
		if want := fmt.Sprint(i + 1); string(rec.Value) != want {
			t.Errorf("%q: counted to %s as the %d.", rec.Key, rec.Value, i+1)
		}
	}
	wantRecord(t, o.Store, "counter", fmt.Sprint(total), own[total-1].Rev)
}

func increment(ctx context.Context, s store.Store, own string) error {
	for {
		rec, err := s.Get(ctx, "counter")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(rec.Value))
		if err != nil {
			return err
		}
		value := fmt.Sprint(n + 1)
		_, err = s.Commit(ctx, store.Update("counter", []byte(value), rec.Rev), put(own, value))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Two records are always written together: no list may see them differ.
func readersSeeWholeCommits(t *testing.T, o Opened) {
	rev := commit(t, o.Store, put("left", "0"), put("right", "0"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				list, at, err := o.Store.List(t.Context(), "", "", 0)
				if err != nil || len(list) != 2 {
					t.Errorf("got %d records, %v", len(list), err)
					return
				}
				if string(list[0].Value) != string(list[1].Value) || list[0].Rev != list[1].Rev || list[1].Rev > at {
					t.Errorf("at %d: %s at %d and %s at %d", at, list[0].Value, list[0].Rev, list[1].Value, list[1].Rev)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 50 {
		value := []byte(fmt.Sprint(i))
		rev = commit(t, o.Store, store.Update("left", value, rev), store.Update("right", value, rev))
	}
	close(done)
	wg.Wait()
}
