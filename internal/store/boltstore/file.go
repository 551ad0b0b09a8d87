package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/retry"
)

const (
	defaultLockWait = 2 * time.Second
	lockRetry       = 20 * time.Millisecond
)

// openFile opens and locks the file, which it makes first if there is none.
func openFile(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createFile(path); err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
		file, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, err
	}
	if err := prepareFile(ctx, file, wait); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// prepareFile locks the file and closes it to others' eyes: the records hold
// secrets.
func prepareFile(ctx context.Context, file *os.File, wait time.Duration) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := regular(file, info); err != nil {
		return err
	}
	if err := lock(ctx, file, unix.LOCK_EX, wait); err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return file.Chmod(0o600)
	}
	return nil
}

func regular(file *os.File, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: %w", file.Name(), ErrForeign)
	}
	return nil
}

// lock takes the lock that bbolt takes again later, through the same open
// file: what is verified in between cannot change.
func lock(ctx context.Context, file *os.File, how int, wait time.Duration) error {
	if wait == 0 {
		wait = defaultLockWait
	}
	for end := time.Now().Add(wait); ; {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		case time.Now().After(end):
			return fmt.Errorf("%s is in use by %s, stop it first: %w", file.Name(), holder(file), ErrInUse)
		}
		if err := retry.Sleep(ctx, lockRetry); err != nil {
			return fmt.Errorf("wait for the lock of %s: %w", file.Name(), err)
		}
	}
}

// createFile makes an empty store, whole or not at all: so a file that is
// there and empty is always one that has been damaged.
func createFile(path string) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	if err := temp.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(temp.Name(), 0o600, boltOptions())
	if err != nil {
		return err
	}
	db.AllocSize = allocSize
	err = db.Update(makeBuckets)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces what another process has just
	// made under this name.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func boltOptions() *bolt.Options {
	return &bolt.Options{
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: mapSize,
		NoStatistics:    true,
	}
}
