package boltstore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// A child is this test binary run as another process that has a store open.
const childEnv = "BOLTSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		if err := runChild(job, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// startChild starts a child that is killed with the test, and returns it and
// the lines it prints.
func startChild(t *testing.T, job, path string, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], path)
	cmd.Env = append(os.Environ(), childEnv+"="+job)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	if _, err := cmd.StdinPipe(); err != nil { // ends with this process
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

func runChild(job, path string) error {
	ctx := context.Background()
	if job == "fill" {
		return fillDisk(ctx, path)
	}
	if job == "readonly" {
		return onReadOnlyDisk(ctx, path)
	}
	s, err := boltstore.Open(ctx, path, boltstore.Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	if job == "hold" {
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	// "write": eight writers print each record after its commit.
	lines := make(chan string)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%06d", w, i)
				rev, err := s.Commit(ctx, store.Create(key, make([]byte, 1000)))
				if err != nil {
					lines <- err.Error()
					return
				}
				lines <- fmt.Sprint(key, " ", rev)
			}
		}()
	}
	for line := range lines {
		fmt.Println(line)
	}
	return nil
}

// fillDisk writes until a disk of 1 MiB is full, and expects that the store
// then still reads, and writes again once there is room. It runs in a mount
// namespace of its own, where path is a directory.
func fillDisk(ctx context.Context, dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 256<<10), 0o600); err != nil {
		return err
	}
	path := dir + "/store.db"
	s, err := boltstore.Open(ctx, path, boltstore.Options{})
	if err != nil {
		return err
	}
	var last store.Rev
	for i := 0; ; i++ {
		rev, err := s.Commit(ctx, store.Create(fmt.Sprint("k", i), make([]byte, 10_000)))
		if err != nil {
			fmt.Println("full:", err)
			break
		}
		last = rev
	}
	if _, rev, err := s.List(ctx, "", "", 0); err != nil || rev != last {
		return fmt.Errorf("on a full disk: at revision %d, not %d: %w", rev, last, err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if rev, err := s.Commit(ctx, store.Create("room again", nil)); err != nil || rev != last+1 {
		return fmt.Errorf("with room again: revision %d, not %d: %w", rev, last+1, err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = boltstore.Open(ctx, path, boltstore.Options{}); err != nil {
		return err
	}
	recs, rev, err := s.List(ctx, "", "", 0)
	if err != nil || rev != last+1 || len(recs) != int(last)+1 {
		return fmt.Errorf("reopened: %d records at revision %d, not %d: %w", len(recs), rev, last+1, err)
	}
	fmt.Println("done")
	return s.Close()
}

// onReadOnlyDisk opens a store on a disk that has become read-only, and one that is not
// there. It runs in a mount namespace of its own, where dir is a directory.
func onReadOnlyDisk(ctx context.Context, dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	s, err := boltstore.Open(ctx, dir+"/store.db", boltstore.Options{})
	if err == nil {
		err = s.Close()
	}
	if err == nil {
		err = unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err != nil {
		return err
	}
	for _, name := range []string{"store.db", "new.db"} {
		_, err := boltstore.Open(ctx, dir+"/"+name, boltstore.Options{})
		fmt.Println(err)
	}
	if _, err := boltstore.Verify(ctx, dir+"/store.db", nil); err != nil {
		return err
	}
	fmt.Println("done")
	return nil
}
