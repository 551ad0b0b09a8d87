package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
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
	db, err := bolt.Open(path, 0o600, opts)
	if err != nil {
		return nil, state{}, err
	}
	db.AllocSize = allocSize
	var now state
	err = db.View(func(tx *bolt.Tx) (err error) {
		if err = checkSchema(tx); err == nil {
			now, err = checkRecords(bucketsOf(tx))
		}
		return err
	})
	if err != nil {
		return nil, state{}, errors.Join(err, db.Close())
	}
	return db, now, nil
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

// checkRecords reads every record.
func checkRecords(b buckets) (state, error) {
	now, err := b.state()
	if err != nil {
		return state{}, err
	}
	found := state{rev: now.rev}
	err = b.records.ForEach(func(k, v []byte) error {
		e, err := decode(string(k), v)
		if err != nil {
			return err
		}
		if e.rev == 0 || e.rev > now.rev {
			return fmt.Errorf("record %q has revision %d, the store %d: %w", k, e.rev, now.rev, ErrDamaged)
		}
		found.count++
		found.sum += e.checksum
		return nil
	})
	if err != nil {
		return state{}, err
	}
	if found != now {
		return state{}, fmt.Errorf("it has %d records, not the %d that were written: %w", found.count, now.count, ErrDamaged)
	}
	return now, nil
}
