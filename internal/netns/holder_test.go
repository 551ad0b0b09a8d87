//go:build linux

package netns_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// F32: whoever keeps a namespace alive is named.
func TestF32_HoldersAreNamed(t *testing.T) {
	ns := netnstest.New(t)
	if got, err := netns.Holders(ns.ID()); err != nil || len(got) != 0 {
		t.Errorf("held by us alone: got %v, %v; want none", got, err)
	}
	inside := sleep(t)
	if err := ns.Do(inside.Start); err != nil {
		t.Fatal(err)
	}
	dup, err := unix.Dup(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	opened := sleep(t)
	opened.ExtraFiles = []*os.File{os.NewFile(uintptr(dup), "namespace")}
	if err := opened.Start(); err != nil {
		t.Fatal(err)
	}
	opened.ExtraFiles[0].Close()
	mount := bind(t, ns, "a b")
	got, err := netns.Holders(ns.ID())
	if err != nil {
		t.Fatal(err)
	}
	want := []netns.Holder{{PID: inside.Process.Pid, Comm: "sleep"}, {PID: opened.Process.Pid, Comm: "sleep"}, {Mount: mount}}
	slices.SortFunc(want[:2], func(a, b netns.Holder) int { return a.PID - b.PID })
	slices.SortFunc(got, func(a, b netns.Holder) int { return len(a.Mount) - len(b.Mount) })
	if len(got) == 3 {
		slices.SortFunc(got[:2], func(a, b netns.Holder) int { return a.PID - b.PID })
	}
	if !slices.Equal(got, want) {
		t.Errorf("holders: got %v, want %v", got, want)
	}
}

func TestLiveOpensEachOnce(t *testing.T) {
	ns, skipped := netnstest.New(t), netnstest.New(t)
	for _, n := range []*netns.Namespace{ns, ns, skipped} {
		if err := n.Do(sleep(t).Start); err != nil {
			t.Fatal(err)
		}
	}
	bind(t, ns, "mount")
	all, err := netns.Live(skipped.ID())
	if err != nil {
		t.Fatal(err)
	}
	times := map[netns.ID]int{}
	for _, n := range all {
		times[n.ID()]++
	}
	if times[ns.ID()] != 1 || times[skipped.ID()] != 0 {
		t.Errorf("opened %d and %d times, want once and never", times[ns.ID()], times[skipped.ID()])
	}
	if err := netns.CloseAll(all); err != nil {
		t.Error(err)
	}
}

// sleep is a process that ends with the test, at the latest.
func sleep(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	t.Cleanup(func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill() // it is ours until we wait
			_ = cmd.Wait()         // its exit status is the kill
		}
	})
	return cmd
}

// bind mounts the namespace on a file, as container engines do.
func bind(t *testing.T, ns *netns.Namespace, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(ns.FD()), path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return path
}
