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
	got, err := netns.Holders(ns.ID())
	if err != nil || slices.ContainsFunc(got, func(h netns.Holder) bool { return h.PID == os.Getpid() }) {
		t.Errorf("held by us alone: got %v, %v", got, err)
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
	if got, err = netns.Holders(ns.ID()); err != nil {
		t.Fatal(err)
	}
	// Somebody else on the machine may look at it just now, as we do.
	for _, want := range []netns.Holder{
		{PID: inside.Process.Pid, Comm: "sleep"}, {PID: opened.Process.Pid, Comm: "sleep"}, {Mount: mount},
	} {
		if n := len(slices.DeleteFunc(slices.Clone(got), func(h netns.Holder) bool { return h != want })); n != 1 {
			t.Errorf("%s is named %d times in %v", want, n, got)
		}
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
	cmd := exec.Command("sleep", "600")
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
