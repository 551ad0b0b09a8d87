package boltstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// A backup of a store that is written meanwhile is what it was at one moment: of each
// commit all or nothing, and of those before it all.
func TestBackupWhileItIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, strings.Repeat("long", 40), "store.db") // longer than a socket's name may be
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, boltstore.Options{Backups: true, NoSync: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			pair := []store.Op{store.Create(fmt.Sprintf("a/%09d", i), make([]byte, 3000)), store.Create(fmt.Sprintf("b/%09d", i), nil)}
			if _, err := s.Commit(ctx, pair...); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			once.Do(func() { close(begun) })
		}
	})
	<-begun
	for i := range 5 {
		to := filepath.Join(dir, fmt.Sprint("backup", i))
		before := revision(t, s)
		sum, err := boltstore.Backup(t.Context(), path, to, nil)
		if err != nil || !sum.Running || sum.Revision < before || sum.File != to {
			t.Fatalf("backup %d, of revision %d or later: %+v, %v", i, before, sum, err)
		}
		if sum, err = boltstore.Verify(t.Context(), path, nil); err != nil || !sum.Running || sum.File != path {
			t.Fatalf("verify while it is written: %+v, %v", sum, err)
		}
	}
	cancel()
	wg.Wait()
	for i := range 5 {
		wantPairs(t, filepath.Join(dir, fmt.Sprint("backup", i)))
	}
	if left, err := filepath.Glob(dir + "/*.new-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func revision(t *testing.T, s store.Store) store.Rev {
	t.Helper()
	_, rev, err := s.List(t.Context(), "none", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// wantPairs wants as many commits as the revision says, each whole.
func wantPairs(t *testing.T, path string) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the backup's mode: %v, %v", info, err)
	}
	s := open(t, path, boltstore.Options{NoSync: true})
	for _, prefix := range []string{"a/", "b/"} {
		all, rev, err := s.List(t.Context(), prefix, "", 0)
		if err != nil || len(all) != int(rev) {
			t.Errorf("%s: %d records of %s at revision %d, %v", path, len(all), prefix, rev, err)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "store.db"), filepath.Join(dir, "backup.db")
	want := fill(t, path)
	sum, err := boltstore.Backup(t.Context(), path, backup, nil)
	if err != nil || sum.Running || !strings.HasPrefix(want, fmt.Sprintf("%d records at %d:", sum.Records, sum.Revision)) {
		t.Fatalf("backed up %+v, %v; want %s", sum, err, want)
	}
	if _, err := boltstore.Backup(t.Context(), path, backup, nil); !errors.Is(err, boltstore.ErrExists) {
		t.Errorf("a backup to a file that is there: %v", err)
	}
	s := open(t, path, boltstore.Options{NoSync: true})
	if _, err := s.Commit(t.Context(), store.Create("later", nil)); err != nil {
		t.Fatal(err)
	}
	later := summary(t, s)
	if _, _, err := boltstore.Restore(t.Context(), backup, path, nil); !errors.Is(err, boltstore.ErrInUse) {
		t.Errorf("a restore of a store that is open: %v", err)
	}
	if got := summary(t, s); got != later {
		t.Errorf("that was refused, and there is %s, not %s", got, later)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, former, err := boltstore.Restore(t.Context(), backup, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path: want, former: later, backup: want} {
		s := open(t, file, boltstore.Options{NoSync: true})
		if got := summary(t, s); got != want {
			t.Errorf("%s has %s, not %s", file, got, want)
		}
	}
}

// What is not whole is not restored, and what is damaged can be replaced; where there is
// nothing, a backup is restored as well.
func TestRestoreChecksBoth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "store.db"), filepath.Join(dir, "backup.db")
	want := fill(t, backup)
	good := readFile(t, backup)
	bad := filepath.Join(dir, "bad.db")
	if err := os.WriteFile(bad, good[:5*4096], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := boltstore.Restore(t.Context(), bad, path, nil); !errors.Is(err, boltstore.ErrDamaged) {
		t.Errorf("half a backup: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a backup was restored: %v", err)
	}
	if _, former, err := boltstore.Restore(t.Context(), backup, path, nil); err != nil || former != "" {
		t.Fatalf("restore where there is nothing: %q, %v", former, err)
	}
	if err := os.WriteFile(path, []byte("not a store"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := boltstore.Verify(t.Context(), path, nil); !errors.Is(err, boltstore.ErrDamaged) && !errors.Is(err, boltstore.ErrForeign) {
		t.Errorf("verify what is no store: %v", err)
	}
	nobody := os.Geteuid() == 0
	if nobody {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	_, former, err := boltstore.Restore(t.Context(), backup, path, nil)
	if info, err := os.Stat(path); err != nil || nobody && info.Sys().(*syscall.Stat_t).Uid != 65534 {
		t.Errorf("the restored store is another user's: %v, %v", info, err)
	}
	if err != nil || string(readFile(t, former)) != "not a store" {
		t.Fatalf("restore over a damaged store: %q, %v", former, err)
	}
	if got := summary(t, open(t, path, boltstore.Options{NoSync: true})); got != want {
		t.Errorf("restored %s, not %s", got, want)
	}
}

// A nicferryd that dies while it sends is no backup.
func TestABackupThatEndsEarly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.db")
	fill(t, path)
	good := readFile(t, path)
	head := binary.BigEndian.AppendUint64([]byte("nicferry"), uint64(len(good)))
	whole := bytes.Join([][]byte{head, good, make([]byte, 8)}, nil) // but for the checksum
	for _, n := range []int{0, 4, 16, len(whole) / 2, len(whole) - 8, len(whole) - 1, len(whole)} {
		listener, err := net.Listen("unix", path+".sock")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			conn, err := listener.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = conn.Write(whole[:n])
		})
		_, err = boltstore.Backup(t.Context(), path, path+".backup", nil)
		if err == nil || !strings.Contains(err.Error(), "running nicferryd") {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
		if left, err := filepath.Glob(path + ".backup*"); err != nil || len(left) > 0 {
			t.Errorf("%d of %d bytes: left behind: %v, %v", n, len(whole), left, err)
		}
		listener.Close()
		wg.Wait()
	}
}

// What a killed nicferryd has left does not keep the next from its socket, and the next
// takes it away at its end.
func TestTheSocketOfAKilledOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.db")
	if err := os.WriteFile(path+".sock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, boltstore.Options{Backups: true})
	if info, err := os.Stat(path + ".sock"); err != nil || info.Mode()&0o777 != 0o600 || info.Mode()&fs.ModeSocket == 0 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".sock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket after the end: %v", err)
	}
}

// F52: on a read-only disk a store is not opened, nor made, and it is said what to do;
// what is there can be verified.
func TestF52_ReadOnlyDisk(t *testing.T) {
	netnstest.RequireRoot(t)
	t.Parallel()
	child, lines := startChild(t, "readonly", t.TempDir(), &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("the child: %v", err)
	}
	for i, want := range []string{"mounted read-only", "mounted read-only", "done"} {
		if len(said) != 3 || !strings.Contains(said[i], want) {
			t.Errorf("the child said %q, want %q", said, want)
		}
	}
}
