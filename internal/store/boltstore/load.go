package boltstore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"sync"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/store"
)

// load opens the database in a locked file, which it closes on error, and
// checks all that is in it.
func load(path string, file *os.File, set func(*bolt.Options)) (_ *bolt.DB, _ state, err error) {
	defer func() {
		if err != nil {
			_ = file.Close() // may be closed already
			err = fmt.Errorf("%s: %w%s", path, err, advice(err))
		}
	}()
	if err := verify(file); err != nil {
		return nil, state{}, err
	}
	opts := boltOptions()
	set(opts)
	opts.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return file, nil }
	db, err := openDB(path, file, opts)
	if err != nil {
		return nil, state{}, err
	}
	db.AllocSize = allocSize
	var now state
	err = db.View(func(tx *bolt.Tx) (err error) {
		if err = checkSchema(tx); err == nil {
			now, err = checkRecords(bucketsOf(tx), new(mapped))
		}
		return err
	})
	if err != nil {
		return nil, state{}, errors.Join(err, db.Close())
	}
	return db, now, nil
}

// openDB has bbolt open the verified file.
func openDB(path string, file *os.File, opts *bolt.Options) (*bolt.DB, error) {
	if !opts.ReadOnly {
		defer letGoOpening(file, mostOpening)()
	}
	return bolt.Open(path, 0o600, opts)
}

func advice(err error) string {
	switch {
	case errors.Is(err, ErrNewer):
		return "; install the version that wrote it, or a newer one"
	case errors.Is(err, ErrForeign):
		return "; it was left as it is: correct the path, or move the file away to begin with an empty store"
	case errors.Is(err, ErrDamaged):
		return "; it was left as it is: restore it from a backup (nicferryd store restore), or move it away to begin with an empty store"
	case errors.Is(err, unix.EROFS):
		return "; its disk is mounted read-only: find out why (dmesg), and mount it writable; until then nothing is given or taken back"
	case errors.Is(err, unix.ENOSPC):
		return "; its disk is full: make room there"
	case errors.Is(err, fs.ErrPermission):
		return "; give the file, and its directory, to the user that nicferryd runs as"
	}
	return ""
}

// checkSchema finds out whether the file is ours and of a layout that we know.
func checkSchema(tx *bolt.Tx) error {
	b := bucketsOf(tx)
	if b.ours == nil {
		return fmt.Errorf("it is some other program's bbolt file: %w", ErrForeign)
	}
	n, err := strconv.Atoi(string(b.ours.Get([]byte("schema"))))
	if err != nil || n < 1 {
		return fmt.Errorf("it has no schema number: %w", ErrDamaged)
	}
	if n > schema {
		return fmt.Errorf("its schema is %d, this version knows up to %d: %w", n, schema, ErrNewer)
	}
	if b.records == nil {
		return fmt.Errorf("it has no bucket of records: %w", ErrDamaged)
	}
	return nil
}

// checkRecords reads every record, on all processors, and lets go of what it has read.
func checkRecords(b buckets, m *mapped) (state, error) {
	now, err := b.state()
	if err != nil {
		return state{}, err
	}
	var (
		wg    sync.WaitGroup
		many  = runtime.GOMAXPROCS(0)
		parts = make(chan []stored)
		ended = make(chan checked)
	)
	for range many {
		wg.Go(func() {
			var found checked
			for part := range parts {
				found.check(part, now.rev)
			}
			ended <- found
		})
	}
	go func() {
		defer close(parts)
		part, size := make([]stored, 0, inPart), 0
		c := b.records.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			size += len(k) + len(v)
			if part = append(part, stored{k, v}); len(part) == inPart {
				parts <- part
				m.read(b.records.Tx(), size)
				part, size = make([]stored, 0, inPart), 0
			}
		}
		parts <- part
	}()
	found := checked{state: state{rev: now.rev}}
	for range many {
		of := <-ended
		found.count += of.count
		found.sum += of.sum
		found.err = cmp.Or(found.err, of.err)
	}
	wg.Wait()
	if found.err != nil {
		return state{}, found.err
	}
	if found.state != now {
		return state{}, fmt.Errorf("it has %d records, not the %d that were written: %w", found.count, now.count, ErrDamaged)
	}
	return now, nil
}

// inPart is how many records are checked at a time.
const inPart = 1024

// A stored is a record as bbolt has it.
type stored struct{ key, value []byte }

// A checked is what one has found of the records.
type checked struct {
	state
	err error
}

func (c *checked) check(part []stored, rev store.Rev) {
	for _, s := range part {
		e, err := decode(s.key, s.value)
		if err == nil && (e.rev == 0 || e.rev > rev) {
			err = fmt.Errorf("record %q has revision %d, the store %d: %w", s.key, e.rev, rev, ErrDamaged)
		}
		if err != nil {
			c.err = cmp.Or(c.err, err)
			return
		}
		c.count++
		c.sum += e.checksum
	}
}
