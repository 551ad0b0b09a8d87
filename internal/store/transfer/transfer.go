// Package transfer copies all records of a store into another one.
package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
)

// The errors that callers branch on.
var (
	// ErrNotEmpty: the store that is to get the records has some already.
	ErrNotEmpty = errors.New("the store has records already")
	// ErrUnfinished: a copy into the store was broken off; it is to be begun again, and
	// goes on.
	ErrUnfinished = errors.New("not all records have been copied into this store yet")
)

// begunKey is in a store from the first record of a copy until the last.
const begunKey = "transfer"

const (
	// page is how many records are read at a time.
	page = 1000
	// A commit has no more ops and no more bytes than any store takes.
	mostOps   = 100
	mostBytes = store.MaxValue
)

// Copy copies all records but those of leaders. Nobody else may have either store open.
// to must be empty, or have a part of a copy that was broken off. Records keep their
// values, and get revisions of the other store. It returns how many it has; copied hears
// meanwhile how many it has read.
func Copy(ctx context.Context, from, to store.Store, copied func(n int)) (int, error) {
	there, begun, err := begin(ctx, to)
	if err != nil {
		return 0, err
	}
	n := 0
	b := batch{ctx: ctx, to: to}
	for after := ""; ; {
		list, _, err := from.List(ctx, "", after, page)
		if err != nil {
			return 0, err
		}
		for _, rec := range list {
			after = rec.Key
			if strings.HasPrefix(rec.Key, store.LeaderPrefix) {
				continue
			}
			n++
			was, has := there[rec.Key]
			delete(there, rec.Key)
			if has && bytes.Equal(was.Value, rec.Value) {
				continue
			}
			if err := b.put(store.Update(rec.Key, rec.Value, was.Rev)); err != nil {
				return 0, err
			}
		}
		copied(n)
		if len(list) < page {
			break
		}
	}
	for key, was := range there { // of an earlier copy, and gone since
		if err := b.put(store.Delete(key, was.Rev)); err != nil {
			return 0, err
		}
	}
	if err := b.flush(); err != nil {
		return 0, err
	}
	if err := compare(ctx, from, to); err != nil {
		return 0, err
	}
	_, err = to.Commit(ctx, store.Delete(begunKey, begun))
	return n, err
}

// Unfinished returns ErrUnfinished for a store with a part of a copy.
func Unfinished(ctx context.Context, s store.Store) error {
	_, err := s.Get(ctx, begunKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return ErrUnfinished
}

// begin marks a store that is empty, and returns the records of one that was marked.
func begin(ctx context.Context, to store.Store) (map[string]store.Record, store.Rev, error) {
	rec, err := to.Get(ctx, begunKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, 0, err
	}
	there, err := all(ctx, to)
	switch {
	case err != nil:
		return nil, 0, err
	case rec.Rev != 0:
		return there, rec.Rev, nil
	case len(there) > 0:
		return nil, 0, ErrNotEmpty
	}
	rev, err := to.Commit(ctx, store.Create(begunKey, []byte(`{"schema":1}`)))
	return there, rev, err
}

// all are the records that count, by key.
func all(ctx context.Context, s store.Store) (map[string]store.Record, error) {
	list, _, err := s.List(ctx, "", "", 0)
	if err != nil {
		return nil, err
	}
	records := map[string]store.Record{}
	for _, rec := range list {
		if rec.Key != begunKey && !strings.HasPrefix(rec.Key, store.LeaderPrefix) {
			records[rec.Key] = rec
		}
	}
	return records, nil
}

// compare reads both stores and fails if they differ.
func compare(ctx context.Context, from, to store.Store) error {
	want, err := all(ctx, from)
	if err != nil {
		return err
	}
	got, err := all(ctx, to)
	if err != nil {
		return err
	}
	for key, rec := range want {
		if copied, ok := got[key]; !ok || !bytes.Equal(copied.Value, rec.Value) {
			return fmt.Errorf("record %q differs after it was copied: is a nicferryd running?", key)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d records after %d were copied: is a nicferryd running?", len(got), len(want))
	}
	return nil
}

// A batch is what is put together in one commit.
type batch struct {
	ctx   context.Context
	to    store.Store
	ops   []store.Op
	bytes int
}

func (b *batch) put(op store.Op) error {
	size := len(op.Key) + len(op.Value)
	if len(b.ops) == mostOps || len(b.ops) > 0 && b.bytes+size > mostBytes {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.ops, b.bytes = append(b.ops, op), b.bytes+size
	return nil
}

func (b *batch) flush() error {
	if len(b.ops) == 0 {
		return nil
	}
	_, err := b.to.Commit(b.ctx, b.ops...)
	b.ops, b.bytes = nil, 0
	return err
}
