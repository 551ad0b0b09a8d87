package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

func watch(t *testing.T, s store.Store, prefix string, from store.Rev) store.Watch {
	t.Helper()
	w, err := s.Watch(t.Context(), prefix, from)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(w.Close)
	return w
}

func next(t *testing.T, w store.Watch) []store.Event {
	t.Helper()
	events, err := w.Next(t.Context())
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	if len(events) == 0 {
		t.Fatal("next: no event and no error")
	}
	return events
}

// wantEvents reads until as many events are there as are wanted, written as
// "key=value@rev" or "-key@rev".
func wantEvents(t *testing.T, w store.Watch, want ...string) {
	t.Helper()
	var got []string
	for len(got) < len(want) {
		for _, e := range next(t, w) {
			got = append(got, text(e))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got events %q, want %q", got, want)
	}
}

func text(e store.Event) string {
	if e.Gone {
		return fmt.Sprintf("-%s@%d", e.Key, e.Rev)
	}
	return fmt.Sprintf("%s=%s@%d", e.Key, e.Value, e.Rev)
}

func at(what string, rev store.Rev) string { return fmt.Sprintf("%s@%d", what, rev) }

func watchSendsWholeCommitsInOrder(t *testing.T, o Opened) {
	all, some := watch(t, o.Store, "", o.start), watch(t, o.Store, "b/", o.start)
	first := commit(t, o.Store, put("b/1", "x"), put("a", "x"), put("b/2", "x"))
	second := commit(t, o.Store, store.Update("a", []byte("y"), first), store.Check("b/1", first))
	commit(t, o.Store, store.Check("b/1", first)) // no event
	third := commit(t, o.Store, store.Delete("b/1", first), put("b", "x"))
	wantEvents(t, all, at("b/1=x", first), at("a=x", first), at("b/2=x", first), at("a=y", second), at("-b/1", third), at("b=x", third))
	wantEvents(t, some, at("b/1=x", first), at("b/2=x", first), at("-b/1", third))
	fourth := commit(t, o.Store, put("b/1", "again"))
	wantEvents(t, all, at("b/1=again", fourth))
	wantEvents(t, some, at("b/1=again", fourth))
}

func watchWaitsForTheNextEvent(t *testing.T, o Opened) {
	w := watch(t, o.Store, "wanted/", o.start)
	got := make(chan []store.Event)
	go func() {
		defer close(got)
		events, err := w.Next(t.Context())
		if err != nil {
			t.Errorf("next: %v", err)
		}
		got <- events
	}()
	// One by one, so that the waiting reader sees each: it must not be
	// dropped for commits that are not its own.
	for i := range o.History + 3 {
		commit(t, o.Store, put(fmt.Sprint("other/", i), ""))
		o.settle()
		select {
		case events := <-got:
			t.Fatalf("Next returned %v before anything wanted happened", events)
		default:
		}
	}
	commit(t, o.Store, put("wanted/1", "v"), put("wanted/2", "v"))
	if events := <-got; len(events) != 2 || events[0].Key != "wanted/1" || events[1].Key != "wanted/2" {
		t.Errorf("got %v", events)
	}
}

func watchBeginsAtAnOlderRevision(t *testing.T, o Opened) {
	var revs []store.Rev
	var all []string
	for i := range 4 {
		key := fmt.Sprint("k", i+1)
		revs = append(revs, commit(t, o.Store, put(key, "")))
		all = append(all, at(key+"=", revs[i]))
	}
	wantEvents(t, watch(t, o.Store, "", o.start), all...)
	wantEvents(t, watch(t, o.Store, "", revs[1]), all[2:]...)
	_, now, err := o.Store.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, o.Store, "", now)
	wantEvents(t, w, at("k5=", commit(t, o.Store, put("k5", ""))))
}

func watchRefusesDroppedHistory(t *testing.T, o Opened) {
	var revs []store.Rev
	quick := watch(t, o.Store, "", o.start) // the store has told of all that it has read
	for i := range o.History + 2 {
		key := fmt.Sprint("k", i)
		revs = append(revs, commit(t, o.Store, put(key, "")))
		wantEvents(t, quick, at(key+"=", revs[i]))
	}
	for _, from := range []store.Rev{o.start, revs[0]} {
		if _, err := o.Store.Watch(t.Context(), "", from); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("from %d: got %v, want ErrCompacted", from, err)
		}
	}
	if events := next(t, watch(t, o.Store, "", revs[1])); events[0].Rev != revs[2] {
		t.Errorf("from %d: the first event is that of revision %d, not %d", revs[1], events[0].Rev, revs[2])
	}
	future := revision(t, o.Store) + 1_000_000
	if _, err := o.Store.Watch(t.Context(), "", future); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("from a revision that is not there yet: got %v, want ErrCompacted", err)
	}
}

func watchDropsTheSlowReader(t *testing.T, o Opened) {
	slow, quick := watch(t, o.Store, "", o.start), watch(t, o.Store, "", o.start)
	for i := range o.History + 1 { // nobody reads slow; no commit may wait for it
		key := fmt.Sprint("k", i)
		wantEvents(t, quick, at(key+"=", commit(t, o.Store, put(key, ""))))
	}
	for range 2 {
		if events, err := slow.Next(t.Context()); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("got %v, %v; want ErrCompacted", events, err)
		}
	}
	wantEvents(t, quick, at("last=", commit(t, o.Store, put("last", ""))))
}

func watchEnds(t *testing.T, o Opened) {
	ends := map[string]struct {
		end  func(w store.Watch, cancel func())
		want error
	}{
		"Close":  {func(w store.Watch, _ func()) { w.Close() }, store.ErrClosed},
		"cancel": {func(_ store.Watch, cancel func()) { cancel() }, context.Canceled},
	}
	for name, test := range ends {
		w := watch(t, o.Store, "", revision(t, o.Store))
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := w.Next(ctx)
			result <- err
		}()
		o.settle() // Next waits
		test.end(w, cancel)
		if err := <-result; !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		cancel()
	}
	w := watch(t, o.Store, "", revision(t, o.Store))
	if _, err := w.Next(ended()); !errors.Is(err, context.Canceled) {
		t.Errorf("next: got %v, want context.Canceled", err)
	}
	commit(t, o.Store, put("a", ""))
	if events := next(t, w); len(events) != 1 {
		t.Errorf("after a wait that was given up: got %v", events)
	}
	w.Close()
	w.Close()
	if _, err := w.Next(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

// Readers that keep up, and list again when they do not, end with what the
// store has; and no reader sees a gap or half a commit.
func watchMissesNothingUnderLoad(t *testing.T, o Opened) {
	const writers, each = 8, 20
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var readers, all sync.WaitGroup
	for range 3 {
		readers.Go(func() { follow(ctx, t, o, writers, each) })
	}
	for w := range writers {
		all.Go(func() {
			for i := range each {
				key := fmt.Sprintf("%d/%02d", w, i)
				if _, err := o.Store.Commit(ctx, put("a/"+key, ""), put("b/"+key, "")); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	all.Wait()
	readers.Wait()
}

// follow reads until it has seen all that the writers write.
func follow(ctx context.Context, t *testing.T, o Opened, writers, each int) {
	s := o.Store
	for {
		list, rev, err := s.List(ctx, "a/", "", 0)
		if err != nil {
			t.Errorf("list: %v", err)
			return
		}
		if len(list) == writers*each {
			return
		}
		written := map[string]int{} // by writer
		for _, rec := range list {
			written[rec.Key[2:3]]++
		}
		w, err := s.Watch(ctx, "", rev)
		if err == nil {
			err = o.followWatch(ctx, w, written, writers*each-len(list))
			w.Close()
		}
		if !errors.Is(err, store.ErrCompacted) {
			if err != nil {
				t.Errorf("watch: %v", err)
			}
			return
		}
	}
}

// followWatch reads as many commits as are left, of which each writer's follow each
// other. On a shared store several writers' may have one revision.
func (o Opened) followWatch(ctx context.Context, w store.Watch, written map[string]int, left int) error {
	for last := store.Rev(0); left > 0; {
		events, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if len(events)%2 != 0 {
			return fmt.Errorf("half a commit: %d events", len(events))
		}
		for i := 0; i < len(events); i += 2 {
			a, b := events[i], events[i+1]
			writer := a.Key[2:3]
			want := fmt.Sprintf("a/%s/%02d", writer, written[writer])
			if a.Key != want || b.Key[1:] != a.Key[1:] || a.Rev < last || a.Rev == last && !o.shared || b.Rev != a.Rev {
				return fmt.Errorf("after revision %d: %s and %s, want %s", last, text(a), text(b), want)
			}
			last = a.Rev
			written[writer]++
			left--
		}
	}
	return nil
}
