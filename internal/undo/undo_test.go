package undo_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nicferry/nicferry/internal/undo"
)

var (
	errWork = errors.New("work")
	errUndo = errors.New("undo")
)

func TestRollbackRunsAllInReverse(t *testing.T) {
	var got []string
	work := func() (err error) {
		var u undo.Stack
		defer u.Rollback(&err)
		u.Push("first", func() error { got = append(got, "first"); return nil })
		u.Push("second", func() error { got = append(got, "second"); return errUndo })
		u.Push("third", func() error { got = append(got, "third"); return nil })
		return errWork
	}
	err := work()
	if !slices.Equal(got, []string{"third", "second", "first"}) {
		t.Errorf("undone %v, want third, second, first", got)
	}
	if !errors.Is(err, errWork) || !errors.Is(err, errUndo) {
		t.Errorf("got %v, want both the cause and the failed undo", err)
	}
}

func TestCommitKeeps(t *testing.T) {
	undone := false
	work := func() (err error) {
		var u undo.Stack
		defer u.Rollback(&err)
		u.Push("it", func() error { undone = true; return nil })
		u.Commit()
		return nil
	}
	if err := work(); err != nil || undone {
		t.Errorf("got %v, undone %v; want nil, false", err, undone)
	}
}
