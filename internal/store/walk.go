package store

import (
	"context"
	"runtime"
	"sync"
)

// pageOf is how many records Walk reads at a time: however many there are, so many, and
// the next so many, are in memory.
const pageOf = 1000

// Walk calls do with every record that has the prefix, in key order, until it returns an
// error. They are not of one moment: what changes meanwhile may be met as it was or as
// it is. Whoever watches from the revision that is returned misses nothing.
func Walk(ctx context.Context, s Store, prefix string, do func(Record) error) (Rev, error) {
	return WalkAs(ctx, s, prefix, func(rec Record) (Record, error) { return rec, nil }, do)
}

// WalkJSON is Walk with decoded records. One that does not decode ends it.
func WalkJSON[T any](ctx context.Context, s Store, prefix string, do func(JSON[T]) error) (Rev, error) {
	return WalkAs(ctx, s, prefix, func(rec Record) (JSON[T], error) {
		v, err := DecodeJSON[T](rec)
		return JSON[T]{Key: rec.Key, Value: v, Rev: rec.Rev}, err
	}, do)
}

// WalkAs is Walk with what read makes of each record: a million of them are read on all
// processors. read is called for several at a time, do for one after the other, in key
// order.
func WalkAs[T any](ctx context.Context, s Store, prefix string, read func(Record) (T, error), do func(T) error) (Rev, error) {
	now := listPage(ctx, s, prefix, "")
	from := now.rev
	for {
		next := make(chan page, 1)
		more := now.err == nil && len(now.recs) == pageOf
		if more {
			after := now.recs[pageOf-1].Key
			go func() { next <- listPage(ctx, s, prefix, after) }()
		}
		err := now.err
		if err == nil {
			err = eachOf(now.recs, read, do)
		}
		if more {
			now = <-next
		}
		if err != nil {
			return 0, err
		}
		if !more {
			return from, nil
		}
	}
}

// A page is some records of a walk.
type page struct {
	recs []Record
	rev  Rev
	err  error
}

func listPage(ctx context.Context, s Store, prefix, after string) page {
	recs, rev, err := s.List(ctx, prefix, after, pageOf)
	return page{recs, rev, err}
}

// fewRecords are read by one processor: others would not help.
const fewRecords = 64

// eachOf reads the records, in as many parts as there are processors, and does each.
func eachOf[T any](recs []Record, read func(Record) (T, error), do func(T) error) error {
	all, errs := make([]T, len(recs)), make([]error, len(recs))
	part := len(recs)
	if part > fewRecords {
		part = max(fewRecords, (part+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	}
	var wg sync.WaitGroup
	for at := part; at < len(recs); at += part {
		wg.Go(func() { readPart(recs, at, min(at+part, len(recs)), read, all, errs) })
	}
	readPart(recs, 0, part, read, all, errs)
	wg.Wait()
	for i := range all {
		if errs[i] != nil {
			return errs[i]
		}
		if err := do(all[i]); err != nil {
			return err
		}
	}
	return nil
}

func readPart[T any](recs []Record, from, to int, read func(Record) (T, error), all []T, errs []error) {
	for i := from; i < to; i++ {
		if all[i], errs[i] = read(recs[i]); errs[i] != nil {
			return
		}
	}
}
