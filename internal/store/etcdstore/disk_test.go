package etcdstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
)

// Etcd whose disks are slow is slow and loses nothing. Disks that take longer than a call
// may: it says so in its time, and what it was asked happens once or not at all. Whoever
// leads then, no commit of a leader before it is taken.
func TestSlowDisks(t *testing.T) {
	t.Parallel()
	const members = 3
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t), Members: members, Sync: true})
	first := open(t, etcdstore.Options{Endpoints: c.Endpoints, Timeout: patient})
	hasty := open(t, etcdstore.Options{Endpoints: c.Endpoints, Timeout: time.Second})
	term, err := first.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	slow := func(by time.Duration) (restore func()) {
		var all []func()
		for i := range members {
			all = append(all, c.SlowDisk(i, by))
		}
		return func() {
			for _, restore := range all {
				restore()
			}
		}
	}
	restore := slow(200 * time.Millisecond)
	for i := range 5 {
		if err := create(t.Context(), first, fmt.Sprint("k", i)); err != nil {
			t.Errorf("a slow commit: %v", err)
		}
	}
	restore()
	restore = slow(4 * time.Second)
	if err := create(t.Context(), hasty, "late"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a commit that takes longer than it may: got %v, want ErrUnavailable", err)
	}
	restore()
	eventually(t, "etcd goes on", func() error { return ignoring(create(t.Context(), hasty, "late"), store.ErrConflict) })
	list, _, err := first.List(t.Context(), "", "", 0)
	has := 0
	for _, rec := range list {
		if rec.Key[0] == 'k' || rec.Key == "late" {
			has++
		}
	}
	if err != nil || has != 6 {
		t.Errorf("got %d records, %v", has, err)
	}
	if err := term.Resign(t.Context()); err != nil { // or it was lost meanwhile
		t.Error(err)
	}
	next, err := hasty.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Commit(t.Context(), term.Check(), store.Create("former", nil)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a commit of the leader before: got %v, want ErrConflict", err)
	}
	eventually(t, "the next leads", func() error {
		_, err := first.Commit(t.Context(), next.Check())
		return err
	})
}

// ignoring is nil for an error that is one of what.
func ignoring(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}
