package boltstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

func TestFileIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	for range 2 {
		if err := open(t, path, boltstore.Options{}).Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("the file's mode is %v", info.Mode())
		}
		if err := os.Chmod(path, 0o644); err != nil { // somebody's mistake
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside the file there is more: %v, %v", entries, err)
	}
}

func TestOpenNamesWhoHasTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	child, lines := startChild(t, "hold", path, nil)
	if !lines.Scan() {
		t.Fatal("the child did not open the store")
	}
	_, err := boltstore.Open(t.Context(), path, boltstore.Options{LockWait: time.Millisecond})
	if !errors.Is(err, boltstore.ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if want := fmt.Sprintf("(process %d)", child.Process.Pid); !strings.Contains(err.Error(), want) ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("%q does not name %q and the path", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := boltstore.Open(ctx, path, boltstore.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
	// The lock goes with the process, also when it is killed.
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	open(t, path, boltstore.Options{LockWait: 30 * time.Second})
}

// A refusal is a file that Open must refuse, made from a good store with the
// one record "a".
type refusal struct {
	make func(path string) error
	want error
	says string
}

func refusals() map[string]refusal {
	newer := func(path string) error {
		return editBolt(path, func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("nicferry")).Put([]byte("schema"), []byte("2"))
		})
	}
	without := func(key string) func(path string) error {
		return func(path string) error {
			return editBolt(path, func(tx *bolt.Tx) error {
				return tx.Bucket([]byte("nicferry")).Delete([]byte(key))
			})
		}
	}
	return map[string]refusal{
		"newer schema": {newer, boltstore.ErrNewer, "install the version"},
		"record missing": {func(path string) error {
			return editBolt(path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("records")).Delete([]byte("a")) })
		}, boltstore.ErrDamaged, "0 records, not the 1"},
		"record changed": {func(path string) error {
			return editBolt(path, func(tx *bolt.Tx) error {
				b := tx.Bucket([]byte("records"))
				return b.Put([]byte("a"), append(bytes.Clone(b.Get([]byte("a"))), '!'))
			})
		}, boltstore.ErrDamaged, `checksum of record "a"`},
		"header is the other's copy": {copyHeader, boltstore.ErrDamaged, "header"},
		"no schema":                  {without("schema"), boltstore.ErrDamaged, "backup"},
		"no state":                   {without("state"), boltstore.ErrDamaged, "backup"},
		"other bbolt file": {func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return editBolt(path, func(tx *bolt.Tx) error {
				_, err := tx.CreateBucket([]byte("raft"))
				return err
			})
		}, boltstore.ErrForeign, "correct the path"},
		"bbolt file without buckets": {func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return editBolt(path, func(*bolt.Tx) error { return nil })
		}, boltstore.ErrForeign, "correct the path"},
		"text file": {func(path string) error {
			return os.WriteFile(path, bytes.Repeat([]byte("log\n"), 5000), 0o600)
		}, boltstore.ErrForeign, "correct the path"},
		"empty file": {func(path string) error { return os.Truncate(path, 0) }, boltstore.ErrDamaged, "backup"},
		"short file": {func(path string) error { return os.Truncate(path, 100) }, boltstore.ErrDamaged, "backup"},
	}
}

func TestOpenRefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	for name, test := range refusals() {
		path := filepath.Join(t.TempDir(), "store.db")
		s := open(t, path, boltstore.Options{})
		if _, err := s.Commit(t.Context(), store.Create("a", nil)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := test.make(path); err != nil {
			t.Fatal(err)
		}
		before := readFile(t, path)
		_, err := boltstore.Open(t.Context(), path, boltstore.Options{})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		} else if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %q does not say %q and the path", name, err, test.says)
		}
		if !bytes.Equal(before, readFile(t, path)) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := boltstore.Open(t.Context(), t.TempDir()+"/no/store.db", boltstore.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: got %v, want ErrNotExist", err)
	}
}

// F52: a damaged file is refused or, where the damage hit nothing in use, read
// in full. It is never read in part, and never crashes the process.
func TestF52_DamageIsNeverReadAsLess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	want := fill(t, path)
	good := readFile(t, path)
	good = good[:(len(bytes.TrimRight(good, "\x00"))+4095)/4096*4096] // the rest is for growing
	random := rand.New(rand.NewPCG(52, uint64(len(good))))
	refused := 0
	for i := range 800 {
		bad := damage(random, good, i)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := boltstore.Open(t.Context(), path, boltstore.Options{NoSync: true})
		if err != nil {
			if !errors.Is(err, boltstore.ErrDamaged) && !errors.Is(err, boltstore.ErrForeign) {
				t.Errorf("damage %d: got %v", i, err)
			}
			refused++
			continue
		}
		got := summary(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("damage %d: opened with %s, not %s", i, got, want)
		}
	}
	if refused < 200 {
		t.Errorf("only %d of 800 damages were found", refused)
	}
	t.Logf("%d of 800 damages refused", refused)
}

// damage returns a copy of a file with one thing wrong.
func damage(random *rand.Rand, good []byte, i int) []byte {
	bad := bytes.Clone(good)
	at := random.IntN(len(bad))
	switch i % 8 {
	case 0: // one bit
		bad[at] ^= 1 << random.IntN(8)
	case 1: // one bit where most structure is: the first 64 bytes of a page
		bad[at/4096*4096+random.IntN(64)] ^= 1 << random.IntN(8)
	case 2: // a sector of zeros
		clear(bad[at/512*512:][:512])
	case 3: // a page is another page
		copy(bad[at/4096*4096:][:4096], bad[random.IntN(len(bad)/4096)*4096:])
	case 4: // the end is missing
		return bad[:at]
	case 5: // a number is another
		copy(bad[at/8*8:][:8], []byte{byte(random.IntN(40)), 0, 0, 0, 0, 0, 0, 0})
	case 6: // one byte
		bad[at] ^= 0xff
	case 7: // one byte where most structure is
		bad[at/4096*4096+random.IntN(64)] ^= 0xff
	}
	return bad
}

// fill makes a store with trees of several levels, free pages and large
// values, and returns its summary.
func fill(t *testing.T, path string) string {
	t.Helper()
	s := open(t, path, boltstore.Options{NoSync: true})
	for i := range 20 {
		var ops []store.Op
		for j := range 10 {
			ops = append(ops, store.Create(fmt.Sprintf("nic/%02d/%d/%s", i, j, strings.Repeat("k", 200)), bytes.Repeat([]byte{byte(i)}, 50*j)))
		}
		rev, err := s.Commit(t.Context(), ops...)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if _, err := s.Commit(t.Context(), store.Delete(ops[0].Key, rev), store.Update(ops[1].Key, make([]byte, 9000), rev)); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := summary(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

func summary(t *testing.T, s store.Store) string {
	t.Helper()
	recs, rev, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for _, rec := range recs {
		fmt.Fprintf(h, "%q %d %d\n%s", rec.Key, rec.Rev, len(rec.Value), rec.Value)
	}
	return fmt.Sprintf("%d records at %d: %x", len(recs), rev, h.Sum(nil))
}

// F52: a full disk fails commits, and nothing else.
func TestF52_FullDisk(t *testing.T) {
	netnstest.RequireRoot(t)
	t.Parallel()
	child, lines := startChild(t, "fill", t.TempDir(), &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("the child: %v", err)
	}
	if len(said) != 2 || !strings.Contains(said[0], "no space left") || said[1] != "done" {
		t.Errorf("the child said %q", said)
	}
}

// F50: what was acknowledged before a kill is there after it, and the file is
// whole.
func TestF50_KilledWriterLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		acknowledged := map[string]string{} // revision by key
		path := filepath.Join(t.TempDir(), "store.db")
		child, lines := startChild(t, "write", path, nil)
		for n := 0; lines.Scan(); n++ {
			key, rev, ok := strings.Cut(lines.Text(), " ")
			if ok && strings.Contains(key, "/") {
				acknowledged[key] = rev
			} else if n > 0 {
				t.Fatalf("the child said %q", lines.Text())
			}
			if n == 100*(round+1) {
				if err := child.Process.Kill(); err != nil { // and read on what it had said
					t.Fatal(err)
				}
			}
		}
		s := open(t, path, boltstore.Options{LockWait: 30 * time.Second})
		for key, rev := range acknowledged {
			rec, err := s.Get(t.Context(), key)
			if err != nil || fmt.Sprint(rec.Rev) != rev || len(rec.Value) != 1000 {
				t.Errorf("round %d: %q at revision %s was acknowledged: got %d, %v", round, key, rev, rec.Rev, err)
			}
		}
		if len(acknowledged) < 100 {
			t.Errorf("round %d: only %d commits", round, len(acknowledged))
		}
	}
}

// copyHeader overwrites the newer header with the older, so that the last
// commit would be gone.
func copyHeader(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, tx := os.Getpagesize(), 16+48
	first, second := data[:page], data[page:2*page]
	if binary.NativeEndian.Uint64(first[tx:]) > binary.NativeEndian.Uint64(second[tx:]) {
		first, second = second, first
	}
	copy(second, first)
	return os.WriteFile(path, data, 0o600)
}

func editBolt(path string, edit func(*bolt.Tx) error) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(edit), db.Close())
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
