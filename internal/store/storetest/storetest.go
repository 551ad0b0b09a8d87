// Package storetest is the suite that every store.Store passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/store"
)

// Opened is one empty store, made for one test. Whoever makes it closes it in
// a t.Cleanup.
type Opened struct {
	Store store.Store
	// History is how many commits the store keeps for watches; between 8 and
	// 64, or the suite takes long. Required.
	History int
	// Reopen closes the store and opens the same records again. Required for
	// a durable store; nil for one that forgets.
	Reopen func(t *testing.T) store.Store

	bubble bool
	shared bool
	// start is the revision that the store was at when it was made.
	start store.Rev
}

// Run runs the suite on a store whose revisions are its own: each commit's is one more
// than the one before. Each test runs in a synctest bubble: the store must not
// leave a goroutine behind, and whoever waits for ever fails at once.
func Run(t *testing.T, open func(t *testing.T) Opened) {
	for _, test := range append(tests(), dense()...) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := open(t)
				o.bubble = true
				test.run(t, o)
			})
		})
	}
}

// RunShared runs the suite on a store on other processes, whose revisions are not its
// own alone.
func RunShared(t *testing.T, open func(t *testing.T) Opened) {
	for _, test := range tests() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			o.start, o.shared = revision(t, o.Store), true
			test.run(t, o)
		})
	}
}

// settle waits until all others wait, where that can be known; elsewhere what they are
// to do beforehand may or may not have happened.
func (o Opened) settle() {
	if o.bubble {
		synctest.Wait()
	}
}

type test struct {
	name string
	run  func(t *testing.T, o Opened)
}

func dense() []test {
	return []test{{"RevisionCountsWritingCommits", revisionCountsWritingCommits}}
}

func tests() []test {
	return []test{
		{"GetReturnsWhatWasWritten", getReturnsWhatWasWritten},
		{"ValuesAreCopies", valuesAreCopies},
		{"ListPages", listPages},
		{"ListTakesPrefixAndAfter", listTakesPrefixAndAfter},
		{"CommitIsAllOrNothing", commitIsAllOrNothing},
		{"StaleExpectationsConflict", staleExpectationsConflict},
		{"RevisionGrows", revisionGrows},
		{"InvalidCommitsAreRefused", invalidCommitsAreRefused},
		{"EndedContextWritesNothing", endedContextWritesNothing},
		{"NoUpdateIsLost", noUpdateIsLost},
		{"ReadersSeeWholeCommits", readersSeeWholeCommits},
		{"WatchSendsWholeCommitsInOrder", watchSendsWholeCommitsInOrder},
		{"WatchWaitsForTheNextEvent", watchWaitsForTheNextEvent},
		{"WatchBeginsAtAnOlderRevision", watchBeginsAtAnOlderRevision},
		{"WatchRefusesDroppedHistory", watchRefusesDroppedHistory},
		{"WatchDropsTheSlowReader", watchDropsTheSlowReader},
		{"WatchEnds", watchEnds},
		{"WatchMissesNothingUnderLoad", watchMissesNothingUnderLoad},
		{"OneLeaderAtATime", oneLeaderAtATime},
		{"LeaderWaitEnds", leaderWaitEnds},
		{"TermFencesCommits", termFencesCommits},
		{"LeaderRecordsAreTheStores", leaderRecordsAreTheStores},
		{"CloseEndsAll", closeEndsAll},
		{"ReopenKeepsAll", reopenKeepsAll},
		{"ReopenEndsTheTerm", reopenEndsTheTerm},
		{"JSONRecords", jsonRecords},
	}
}

// commit is a Commit that must succeed.
func commit(t *testing.T, s store.Store, ops ...store.Op) store.Rev {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return rev
}

// refuse is a Commit that must fail with want and leave all records alone.
func refuse(t *testing.T, s store.Store, want error, ops ...store.Op) error {
	t.Helper()
	before := records(t, s)
	_, err := s.Commit(t.Context(), ops...)
	if !errors.Is(err, want) {
		t.Fatalf("commit: got error %v, want %v", err, want)
	}
	if after := records(t, s); after != before {
		t.Errorf("a refused commit took the records from %s to %s", before, after)
	}
	return err
}

// records are all keys with their revisions.
func records(t *testing.T, s store.Store) string {
	t.Helper()
	list, _, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	var all strings.Builder
	for _, rec := range list {
		fmt.Fprintf(&all, "%.20q@%d ", rec.Key, rec.Rev)
	}
	return all.String()
}

func revision(t *testing.T, s store.Store) store.Rev {
	t.Helper()
	_, rev, err := s.List(t.Context(), "", "", 1)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return rev
}

func wantRecord(t *testing.T, s store.Store, key, value string, rev store.Rev) {
	t.Helper()
	rec, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if rec.Key != key || string(rec.Value) != value || rec.Rev != rev {
		t.Errorf("got %q = %q at %d, want %q = %q at %d", rec.Key, rec.Value, rec.Rev, key, value, rev)
	}
}

func wantNone(t *testing.T, s store.Store, key string) {
	t.Helper()
	if rec, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get %q: got %q, %v; want ErrNotFound", key, rec.Value, err)
	}
}

func wantKeys(t *testing.T, got []store.Record, want ...string) {
	t.Helper()
	var keys []string
	for _, rec := range got {
		keys = append(keys, rec.Key)
	}
	if fmt.Sprint(keys) != fmt.Sprint(want) {
		t.Errorf("got keys %q, want %q", keys, want)
	}
}

func put(key, value string) store.Op { return store.Create(key, []byte(value)) }

// ended is a context that is over.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func getReturnsWhatWasWritten(t *testing.T, o Opened) {
	wantNone(t, o.Store, "a")
	wantNone(t, o.Store, "")
	large := bytes.Repeat([]byte("x"), store.MaxValue)
	first := commit(t, o.Store, put("a", "1"), put("b/c", ""), store.Create("large", large))
	wantRecord(t, o.Store, "a", "1", first)
	wantRecord(t, o.Store, "b/c", "", first)
	wantRecord(t, o.Store, "large", string(large), first)
	second := commit(t, o.Store, store.Update("a", []byte("2"), first), store.Delete("b/c", first))
	wantRecord(t, o.Store, "a", "2", second)
	wantNone(t, o.Store, "b/c")
	third := commit(t, o.Store, put("b/c", "again"))
	wantRecord(t, o.Store, "b/c", "again", third)
}

func valuesAreCopies(t *testing.T, o Opened) {
	w, err := o.Store.Watch(t.Context(), "", o.start)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	other, err := o.Store.Watch(t.Context(), "", o.start)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()

	value := []byte("good")
	rev := commit(t, o.Store, store.Create("a", value))
	copy(value, "evil")
	wantRecord(t, o.Store, "a", "good", rev)

	rec, err := o.Store.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	copy(rec.Value, "evil")
	list, _, err := o.Store.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	copy(list[0].Value, "evil")
	copy(next(t, w)[0].Value, "evil")
	wantRecord(t, o.Store, "a", "good", rev)
	if got := next(t, other)[0].Value; string(got) != "good" {
		t.Errorf("one watch reads what another's reader wrote: %q", got)
	}
}

func jsonRecords(t *testing.T, o Opened) {
	type lease struct{ MAC string }
	op, err := store.CreateJSON("lease/1", lease{"02:00:00:00:00:01"})
	if err != nil {
		t.Fatal(err)
	}
	first := commit(t, o.Store, op, put("lease/2", `{"MAC":"02:00:00:00:00:02","New":1}`))
	v, rev, err := store.GetJSON[lease](t.Context(), o.Store, "lease/1")
	if err != nil || rev != first || v.MAC != "02:00:00:00:00:01" {
		t.Fatalf("got %+v at %d, %v", v, rev, err)
	}
	if op, err = store.UpdateJSON("lease/1", lease{"02:00:00:00:00:0a"}, rev); err != nil {
		t.Fatal(err)
	}
	second := commit(t, o.Store, op)
	list, rev, err := store.ListJSON[lease](t.Context(), o.Store, "lease/", "", 0)
	if err != nil || rev < second || len(list) != 2 {
		t.Fatalf("got %+v at %d, %v", list, rev, err)
	}
	if list[0] != (store.JSON[lease]{Key: "lease/1", Value: lease{"02:00:00:00:00:0a"}, Rev: second}) ||
		list[1].Value.MAC != "02:00:00:00:00:02" || list[1].Rev != first {
		t.Errorf("got %+v", list)
	}
	commit(t, o.Store, put("lease/3", "{"))
	if list, _, err := store.ListJSON[lease](t.Context(), o.Store, "lease/", "", 0); err == nil {
		t.Errorf("a record that is no JSON was left out: %+v", list)
	}
	if _, _, err := store.GetJSON[lease](t.Context(), o.Store, "lease/4"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := store.CreateJSON("x", func() {}); err == nil {
		t.Error("a func was encoded")
	}
}
