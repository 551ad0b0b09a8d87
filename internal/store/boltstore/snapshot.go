package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/store"
)

// ErrExists: what a backup was to be written to is there already.
var ErrExists = errors.New("is there already")

// A Summary is what a whole store file holds.
type Summary struct {
	File     string    `json:"file"`
	Bytes    int64     `json:"bytes"`
	Records  uint64    `json:"records"`
	Revision store.Rev `json:"revision"`
	// Running: it was asked of the process that has the store open.
	Running bool `json:"running"`
}

// Inspect reads all of a file that no other process writes, and changes nothing. A
// file that is not entirely right is refused as by Open.
func Inspect(ctx context.Context, path string) (Summary, error) {
	sum := Summary{File: path}
	file, err := os.Open(path)
	if err != nil {
		return sum, fmt.Errorf("verify store: %w", err)
	}
	defer file.Close() // bbolt has closed it where it was right
	info, err := file.Stat()
	if err == nil {
		err = regular(file, info)
	}
	if err == nil {
		err = lock(ctx, file, unix.LOCK_SH, 0)
	}
	if err != nil {
		return sum, fmt.Errorf("verify store: %w", err)
	}
	db, now, err := load(path, file, func(o *bolt.Options) { o.ReadOnly = true })
	if err != nil {
		return sum, fmt.Errorf("verify store: %w", err)
	}
	err = db.View(func(tx *bolt.Tx) error { sum.Bytes = tx.Size(); return nil })
	sum.Records, sum.Revision = now.count, now.rev
	return sum, errors.Join(err, db.Close())
}

// Backup writes what the store at path holds at one moment to a new file, and verifies
// that. If a process has the store open, that is asked; it goes on meanwhile. Wrote is
// told how much there is so far, and in all; optional. A backup that ends early leaves
// nothing.
func Backup(ctx context.Context, path, to string, wrote func(done, of int64)) (sum Summary, err error) {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s %w: choose another name; a backup replaces nothing", to, ErrExists)
		}
		return sum, fmt.Errorf("back up store: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".new-*") // mode 0600
	if err != nil {
		return sum, fmt.Errorf("back up store: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	running, err := snapshot(ctx, path, temp, wrote)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return sum, fmt.Errorf("back up store %s: %w", path, err)
	}
	if sum, err = Inspect(ctx, temp.Name()); err != nil {
		return sum, fmt.Errorf("back up store %s: what was written is not whole: %w", path, err)
	}
	sum.File, sum.Running = to, running
	if err := os.Link(temp.Name(), to); errors.Is(err, fs.ErrExist) {
		return sum, fmt.Errorf("back up store: %s %w", to, ErrExists)
	} else if err != nil {
		return sum, fmt.Errorf("back up store: %w", err)
	}
	return sum, syncDir(filepath.Dir(to))
}

// Verify is Inspect, also for a store that a process has open: that is asked for what it
// holds.
func Verify(ctx context.Context, path string, wrote func(done, of int64)) (sum Summary, err error) {
	if sum, err = Inspect(ctx, path); !errors.Is(err, ErrInUse) {
		return sum, err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".verify-*")
	if err != nil {
		return sum, fmt.Errorf("verify store: %w", err)
	}
	defer func() { err = errors.Join(err, temp.Close(), os.Remove(temp.Name())) }()
	if sum.Running, err = snapshot(ctx, path, temp, wrote); err != nil {
		return sum, fmt.Errorf("verify store %s: %w", path, err)
	}
	held, err := Inspect(ctx, temp.Name())
	held.File, held.Running = path, sum.Running
	return held, err
}

// snapshot writes what the store holds at one moment, and says whether it was asked of
// the process that has it open.
func snapshot(ctx context.Context, path string, to io.Writer, wrote func(done, of int64)) (running bool, err error) {
	if conn, err := dial(ctx, path); err == nil {
		return true, receive(ctx, conn, to, wrote)
	}
	if _, err := os.Stat(path); err != nil {
		return false, err // Open would make it
	}
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return false, err
	}
	return false, errors.Join(s.writeTo(to, wrote), s.Close())
}

// writeTo writes what the store holds at one moment. Until it ends the file grows by all
// that is written meanwhile.
func (s *Store) writeTo(to io.Writer, wrote func(done, of int64)) error {
	return s.db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(&counted{to: to, of: tx.Size(), wrote: wrote})
		return err
	})
}

// A counted writer says how much has been written.
type counted struct {
	to       io.Writer
	done, of int64
	wrote    func(done, of int64)
}

func (c *counted) Write(data []byte) (int, error) {
	n, err := c.to.Write(data)
	c.done += int64(n)
	if c.wrote != nil {
		c.wrote(c.done, c.of)
	}
	return n, err
}

// Restore makes the store at path what a backup holds, in one step. What was there is
// kept under the name that it returns, "" if there was nothing. A store that a process
// has open is left alone.
func Restore(ctx context.Context, from, path string, wrote func(done, of int64)) (sum Summary, former string, err error) {
	if sum, err = Inspect(ctx, from); err != nil {
		return sum, "", fmt.Errorf("restore from the backup: %w", err)
	}
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		defer old.Close()
		err = prepareFile(ctx, old, 0) // held until the other file is there
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return sum, "", fmt.Errorf("restore store: %w", err)
	}
	temp, err := copyFile(from, path, wrote)
	if err != nil {
		return sum, "", fmt.Errorf("restore store: %w", err)
	}
	defer os.Remove(temp) // it has another name if all went well
	if err := giveAs(temp, old, filepath.Dir(path)); err != nil {
		return sum, "", fmt.Errorf("restore store: %w", err)
	}
	if sum, err = Inspect(ctx, temp); err != nil {
		return sum, "", fmt.Errorf("restore store: the copy is not whole: %w", err)
	}
	if old != nil {
		former = path + ".former-" + time.Now().UTC().Format("20060102T150405.000Z")
		if err := os.Link(path, former); err != nil {
			return sum, "", fmt.Errorf("restore store: keep what was there: %w", err)
		}
	}
	sum.File = path
	if err := os.Rename(temp, path); err != nil {
		return sum, former, fmt.Errorf("restore store: %w", err)
	}
	return sum, former, syncDir(filepath.Dir(path))
}

// giveAs gives a file to whom the former one belongs, or else the directory: root
// restores what nicferryd opens as another user.
func giveAs(name string, former *os.File, dir string) error {
	var st unix.Stat_t
	var err error
	if former != nil {
		err = unix.Fstat(int(former.Fd()), &st)
	} else {
		err = unix.Stat(dir, &st)
	}
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return os.Chown(name, int(st.Uid), int(st.Gid))
}

// copyFile copies a file beside path, durably, and returns what the copy is called.
func copyFile(from, path string, wrote func(done, of int64)) (name string, err error) {
	source, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(&counted{to: temp, of: info.Size(), wrote: wrote}, source)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return "", errors.Join(err, os.Remove(temp.Name()))
	}
	return temp.Name(), nil
}

// What a process that has a store open sends:
//
//	"nicferry" | size u64 | the file | CRC-64 of the file u64
const sentMark = "nicferry"

// send writes what the store holds to who has asked.
func (s *Store) send(to io.Writer) error {
	return s.db.View(func(tx *bolt.Tx) error {
		sum := crc64.New(crc64.MakeTable(crc64.ECMA))
		if _, err := to.Write(binary.BigEndian.AppendUint64([]byte(sentMark), uint64(tx.Size()))); err != nil {
			return err
		}
		if _, err := tx.WriteTo(io.MultiWriter(to, sum)); err != nil {
			return err
		}
		_, err := to.Write(binary.BigEndian.AppendUint64(nil, sum.Sum64()))
		return err
	})
}

// receive reads what send writes; what ends early is an error.
func receive(ctx context.Context, from io.ReadCloser, to io.Writer, wrote func(done, of int64)) error {
	stop := context.AfterFunc(ctx, func() { _ = from.Close() })
	defer stop()
	defer from.Close()
	fail := func(err error) error {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("read what the running nicferryd sends: %w", err)
	}
	head := make([]byte, len(sentMark)+8)
	if _, err := io.ReadFull(from, head); err != nil {
		return fail(err)
	}
	if string(head[:len(sentMark)]) != sentMark {
		return fail(errors.New("it is no store"))
	}
	size := int64(binary.BigEndian.Uint64(head[len(sentMark):]))
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	out := &counted{to: to, of: size, wrote: wrote}
	if _, err := io.CopyN(io.MultiWriter(out, sum), from, size); err != nil {
		return fail(err)
	}
	tail := make([]byte, 8)
	if _, err := io.ReadFull(from, tail); err != nil {
		return fail(err)
	}
	if binary.BigEndian.Uint64(tail) != sum.Sum64() {
		return fail(errors.New("its checksum is wrong"))
	}
	return nil
}
