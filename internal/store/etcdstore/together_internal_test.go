package etcdstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
)

func requestOf(ops ...store.Op) *request { return &request{ops: ops, done: make(chan struct{})} }

// What one commit touches none of the others in its transaction writes, and etcd takes it.
func TestOnlyCommitsThatDoNotTouchShareATransaction(t *testing.T) {
	t.Parallel()
	many := func(n int) (ops []store.Op) {
		for i := range n {
			ops = append(ops, store.Create(fmt.Sprint("many/", i), nil))
		}
		return ops
	}
	large := []byte(strings.Repeat("x", mostBytes/2+1))
	for name, tc := range map[string]struct {
		first, second []store.Op
		want          bool
	}{
		"apart":             {[]store.Op{store.Create("a", nil)}, []store.Op{store.Delete("b", 1)}, true},
		"same check":        {[]store.Op{store.Create("a", nil), store.Check("term", 7)}, []store.Op{store.Create("b", nil), store.Check("term", 7)}, true},
		"other check":       {[]store.Op{store.Create("a", nil), store.Check("term", 7)}, []store.Op{store.Create("b", nil), store.Check("term", 8)}, false},
		"both write":        {[]store.Op{store.Update("a", nil, 1)}, []store.Op{store.Delete("a", 1)}, false},
		"one reads":         {[]store.Op{store.Update("a", nil, 1)}, []store.Op{store.Create("b", nil), store.Check("a", 1)}, false},
		"the other reads":   {[]store.Op{store.Create("b", nil), store.Check("a", 1)}, []store.Op{store.Update("a", nil, 1)}, false},
		"as many as can be": {many(mostOps - 1), []store.Op{store.Create("b", nil)}, true},
		"too many":          {many(mostOps - 1), []store.Op{store.Create("b", nil), store.Create("c", nil)}, false},
		"too large":         {[]store.Op{store.Create("a", large)}, []store.Op{store.Create("b", large)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := queue{underWay: underWay}
			first, second := requestOf(tc.first...), requestOf(tc.second...)
			for _, r := range []*request{first, second} {
				if err := q.put(r, func() { t.Error("one more was started") }); err != nil {
					t.Fatal(err)
				}
			}
			got := q.take()
			if shared := slices.Contains(got.requests, second); got.requests[0] != first || shared != tc.want {
				t.Errorf("they share a transaction: %t, want %t", shared, tc.want)
			}
			if next := q.take(); !tc.want && (len(next.requests) != 1 || next.requests[0] != second) {
				t.Errorf("the next transaction has %d commits, want the second", len(next.requests))
			}
		})
	}
}

// A commit that waits ends with its context, and nothing of it is written.
func TestACommitThatWaitsIsWithdrawn(t *testing.T) {
	t.Parallel()
	q := queue{underWay: underWay}
	stays, goes := requestOf(store.Create("a", nil)), requestOf(store.Create("b", nil))
	for _, r := range []*request{stays, goes} {
		if err := q.put(r, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if !q.withdraw(goes) || q.withdraw(goes) {
		t.Error("withdrawn: want once")
	}
	if got := q.take(); len(got.requests) != 1 || got.requests[0] != stays {
		t.Errorf("%d commits are left, want the other", len(got.requests))
	}
	if err := q.put(goes, func() {}); err != nil {
		t.Fatal(err)
	}
	q.close()
	if <-goes.done; !errors.Is(goes.err, store.ErrClosed) {
		t.Errorf("after close: %v, want ErrClosed", goes.err)
	}
	if err := q.put(goes, func() {}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("put after close: %v, want ErrClosed", err)
	}
}

// Commits that share a transaction have its revision, and arrive whole. If one of them is
// refused it is told why, and the others are made all the same.
func TestCommitsShareATransaction(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	s, err := Open(t.Context(), Options{Endpoints: c.Endpoints, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	was, err := s.Commit(t.Context(), store.Create("is", nil))
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), "", was)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()

	share := func(requests ...*request) {
		t.Helper()
		var all together
		for _, r := range requests {
			if !all.add(r) {
				t.Fatal("they do not fit")
			}
		}
		s.writeTogether(all)
	}
	good := []*request{requestOf(store.Create("a", nil), store.Check("is", was)), requestOf(store.Create("b", nil), store.Check("is", was))}
	share(good...)
	if good[0].err != nil || good[1].err != nil || good[0].rev != good[1].rev {
		t.Errorf("got %d, %v and %d, %v; want one revision", good[0].rev, good[0].err, good[1].rev, good[1].err)
	}
	if events, err := w.Next(t.Context()); err != nil || len(events) != 2 || events[0].Rev != events[1].Rev {
		t.Errorf("got events %v, %v; want both", events, err)
	}

	bad := requestOf(store.Create("d", nil), store.Create("is", nil))
	mixed := []*request{requestOf(store.Create("c", nil)), bad, requestOf(store.Create("e", nil))}
	share(mixed...)
	var conflict *store.ConflictError
	if !errors.As(bad.err, &conflict) || conflict.Key != "is" || conflict.Have != was {
		t.Errorf("got %v, want a conflict with %q at %d", bad.err, "is", was)
	}
	if mixed[0].err != nil || mixed[2].err != nil {
		t.Errorf("the others: %v and %v", mixed[0].err, mixed[2].err)
	}
	if _, err := s.Get(t.Context(), "d"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of the refused commit: got %v, want ErrNotFound", err)
	}
}

// Many that commit at once are each answered right, whoever shares a transaction.
func TestManyCommitAtOnce(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	s, err := Open(t.Context(), Options{Endpoints: c.Endpoints, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const writers, each = 32, 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won [each]int
	for range writers {
		wg.Go(func() {
			for i := range each { // of all who want a key one gets it
				_, err := s.Commit(t.Context(), store.Create(fmt.Sprint("k/", i), nil))
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					won[i]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for i, n := range won {
		if n != 1 {
			t.Errorf("%d have made %q", n, fmt.Sprint("k/", i))
		}
	}
}
