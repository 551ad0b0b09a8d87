package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
)

// patient is for stores whose etcd is in trouble on a slow machine.
const patient = 30 * time.Second

// alone is a client of etcd beside the store's.
func alone(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// eventually repeats what must come true.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var err error
	for deadline := time.Now().Add(4 * patient); time.Now().Before(deadline); <-tick.C {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

func create(ctx context.Context, s store.Store, key string) error {
	_, err := s.Commit(ctx, store.Create(key, nil))
	return err
}

// While writers write, members are killed, frozen and cut off, one after the other:
// each commit happens once or not at all, as it was told.
func TestEachCommitHappensOnceWhateverMembersDo(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t), Members: 3})
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints, Timeout: patient})
	const writers = 12 // many enough to share transactions
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait() // also when the test fails
	defer stop()
	told := make([]int, writers)
	for w := range writers {
		wg.Go(func() {
			key := fmt.Sprint("counter/", w)
			for rev := store.Rev(0); ctx.Err() == nil; told[w]++ {
				next, err := s.Commit(context.WithoutCancel(ctx), store.Update(key, []byte(fmt.Sprint(told[w]+1)), rev))
				if err != nil {
					t.Errorf("writer %d after %d commits: %v", w, told[w], err)
					return
				}
				rev = next
			}
		})
	}
	sum := 0
	goOn := func() { // until each has written a few more, as far as one can tell
		t.Helper()
		before := sum
		eventually(t, "writers go on", func() error {
			list, _, err := s.List(t.Context(), "counter/", "", 0)
			sum = 0
			for _, rec := range list {
				var n int
				fmt.Sscan(string(rec.Value), &n)
				sum += n
			}
			if err == nil && sum < before+4*writers {
				err = fmt.Errorf("%d commits, of which %d before", sum, before)
			}
			return err
		})
	}
	goOn()
	for i := range 3 {
		c.Kill(i)
		goOn()
		c.Restart(i)
		goOn()
		c.Freeze(i)
		goOn()
		c.Thaw(i)
		goOn()
		c.Cut(i)
		goOn()
		c.Mend(i)
		goOn()
	}
	stop()
	wg.Wait()
	for w, n := range told {
		rec, err := s.Get(t.Context(), fmt.Sprint("counter/", w))
		if err != nil || string(rec.Value) != fmt.Sprint(n) {
			t.Errorf("writer %d was told of %d commits: the record says %s, %v", w, n, rec.Value, err)
		}
	}
}

// A leader whose member is cut off from the others loses its term, and another one
// leads; what the first then commits through another member is refused.
func TestMinorityLosesItsLeader(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t), Members: 3})
	minority := open(t, etcdstore.Options{Endpoints: c.Endpoints[:1], Timeout: time.Second})
	majority := open(t, etcdstore.Options{Endpoints: c.Endpoints[1:], Timeout: patient})
	first, err := minority.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	c.Cut(0)
	second, err := majority.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	<-first.Lost()
	if _, err := minority.Get(t.Context(), "a"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read from the minority: got %v, want ErrUnavailable", err)
	}
	if _, err := minority.Commit(t.Context(), first.Check()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a check in the minority: got %v, want ErrUnavailable", err)
	}
	if _, err := majority.Commit(t.Context(), second.Check(), store.Create("a", nil)); err != nil {
		t.Error(err)
	}
	c.Mend(0)
	eventually(t, "the minority is back", func() error { _, err := minority.Get(t.Context(), "a"); return err })
	if _, err := minority.Commit(t.Context(), first.Check(), store.Create("b", nil)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the first leader's commit: got %v, want ErrConflict", err)
	}
}

// A member that has lost the others is passed over: what it is asked another one answers.
func TestACutOffMemberIsPassedOver(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t), Members: 3})
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints, Timeout: patient})
	term, err := s.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	c.Cut(0)
	for i := range 12 { // some of them ask the member first
		if err := create(t.Context(), s, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := term.Resign(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without etcd each call says so in its time, and goes on when it is back; watches miss
// nothing.
func TestEtcdAwayAndBack(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints, Timeout: time.Second})
	_, rev, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), "k/", rev)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c.Kill(0)
	for what, err := range map[string]error{
		"get":    func() error { _, err := s.Get(t.Context(), "a"); return err }(),
		"list":   func() error { _, _, err := s.List(t.Context(), "", "", 0); return err }(),
		"commit": create(t.Context(), s, "lost"),
		"check":  func() error { _, err := s.Commit(t.Context(), store.Check("a", 0)); return err }(),
	} {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), c.Endpoints[0]) {
			t.Errorf("%s without etcd: got %v, want ErrUnavailable with the address", what, err)
		}
	}
	c.Restart(0)
	eventually(t, "etcd is back", func() error {
		err := create(t.Context(), s, "k/1")
		if errors.Is(err, store.ErrConflict) {
			return nil
		}
		return err
	})
	if err := create(t.Context(), s, "k/2"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 2 {
		events, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			got = append(got, e.Key)
		}
	}
	if fmt.Sprint(got) != "[k/1 k/2]" {
		t.Errorf("got events %q", got)
	}
}

// What etcd has forgotten while the store was away is not passed over: watches have
// fallen behind.
func TestCompactedWhileAway(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t), Members: 3})
	// This store hears of one member alone, which is cut off meanwhile.
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints[:1], Timeout: patient})
	other := open(t, etcdstore.Options{Endpoints: c.Endpoints[1:], Timeout: patient})
	_, rev, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), "", rev)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c.Kill(0)
	for i := range 10 {
		if err := create(t.Context(), other, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, now, err := other.List(t.Context(), "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone(t, c.Endpoints[1:]).Compact(t.Context(), int64(now)); err != nil {
		t.Fatal(err)
	}
	c.Restart(0)
	if events, err := w.Next(t.Context()); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("got %v, %v; want ErrCompacted", events, err)
	}
	list, rev, err := s.List(t.Context(), "", "", 0)
	if err != nil || len(list) != 10 {
		t.Fatalf("got %d records, %v", len(list), err)
	}
	again, err := s.Watch(t.Context(), "", rev)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := create(t.Context(), other, "after"); err != nil {
		t.Fatal(err)
	}
	if events, err := again.Next(t.Context()); err != nil || events[0].Key != "after" {
		t.Errorf("got %v, %v", events, err)
	}
}

// The store has etcd forget what is long gone, and its own readers do not notice.
func TestCompacts(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints, Compact: 10 * time.Millisecond, Timeout: patient})
	for i := range 5 {
		if err := create(t.Context(), s, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	client := alone(t, c.Endpoints)
	eventually(t, "etcd has forgotten", func() error {
		_, err := client.Get(t.Context(), "x", clientv3.WithRev(2))
		if err == nil {
			return errors.New("revision 2 is still there")
		}
		return nil
	})
	if list, _, err := s.List(t.Context(), "", "", 0); err != nil || len(list) != 5 {
		t.Errorf("got %d records, %v", len(list), err)
	}
}

// A leader record that somebody removes ends the term, though the leader is well.
func TestLeaderRecordRemovedByHand(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints, Prefix: "/p/", Timeout: patient})
	term, err := s.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone(t, c.Endpoints).Delete(t.Context(), "/p/r/"+store.LeaderPrefix+"controller"); err != nil {
		t.Fatal(err)
	}
	<-term.Lost()
}

// More than etcd takes in one transaction is refused with what to do, and lists longer
// than a page are whole.
func TestLargeCommitsAndLists(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints, Timeout: patient})
	batch := func(from, n int) (ops []store.Op) {
		for i := range n {
			ops = append(ops, store.Create(fmt.Sprintf("k/%05d", from+i), nil))
		}
		return ops
	}
	if _, err := s.Commit(t.Context(), batch(0, 128)...); err == nil || !strings.Contains(err.Error(), "--max-txn-ops") {
		t.Errorf("128 ops: got %v", err)
	}
	const most, total = 127, 2540
	for from := 0; from < total; from += most {
		if _, err := s.Commit(t.Context(), batch(from, most)...); err != nil {
			t.Fatal(err)
		}
	}
	for limit, want := range map[int]int{0: total, 1500: 1500, 1000: 1000, 5000: total} {
		list, _, err := s.List(t.Context(), "k/", "", limit)
		if err != nil || len(list) != want {
			t.Fatalf("limit %d: got %d records, %v", limit, len(list), err)
		}
		for i, rec := range list {
			if rec.Key != fmt.Sprintf("k/%05d", i) {
				t.Fatalf("limit %d: record %d is %q", limit, i, rec.Key)
			}
		}
	}
	large := make([]byte, store.MaxValue)
	if _, err := s.Commit(t.Context(), store.Create("a", large), store.Create("b", large)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("2 MiB: got %v", err)
	}
	if _, err := s.Commit(t.Context(), store.Create("a", large)); err != nil {
		t.Error(err)
	}
}

// Of two clusters under their own prefixes neither sees the other's records; a newer
// layout is left alone.
func TestPrefixAndSchema(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	one := open(t, etcdstore.Options{Endpoints: c.Endpoints, Prefix: "/one/", Timeout: patient})
	two := open(t, etcdstore.Options{Endpoints: c.Endpoints, Prefix: "/one/more/", Timeout: patient})
	for _, s := range []store.Store{one, two} {
		if err := create(t.Context(), s, "a"); err != nil {
			t.Fatal(err)
		}
		term, err := s.Lead(t.Context(), "controller")
		if err != nil {
			t.Fatal(err)
		}
		if err := term.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, _, err := s.List(t.Context(), "", "", 0); err != nil || len(list) != 1 {
			t.Errorf("got %v, %v", list, err)
		}
	}
	if _, err := alone(t, c.Endpoints).Put(t.Context(), "/new/schema", "2"); err != nil {
		t.Fatal(err)
	}
	if _, err := etcdstore.Open(t.Context(), etcdstore.Options{Endpoints: c.Endpoints, Prefix: "/new/"}); !errors.Is(err, etcdstore.ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}
