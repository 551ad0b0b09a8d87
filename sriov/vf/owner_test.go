//go:build linux

package vf_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

// The clean-up of the old owner is late: it looks, and before it writes the VF is
// taken by the next one.
func TestF39_ALateCleanUpLeavesTheNextOwnerAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := oneCard(7, vftest.Driver{})
		dir := t.TempDir()
		a, b := nic.NewID(), nic.NewID()
		// Each has a setter of its own, as two processes have.
		old := setter(t, n, dir)
		next := setter(t, n, dir, func(o *vf.Options) { o.Gone = func(id nic.ID) bool { return id == a } })
		factory := n.Settings()
		v := n.VF("ens1", 3)
		va := taken(t, old, a, wanted(v))
		must(t, old.Apply(t.Context(), a, va))

		// A's clean-up comes 3 s after B has the VF.
		vb := taken(t, next, b, wanted(v))
		if !cmp.Equal(vb.Was, va.Was) {
			t.Errorf("was, for the next owner: %+v; want what it was before the first, %+v", vb.Was, va.Was)
		}
		must(t, next.Apply(t.Context(), b, vb))
		want := n.Settings()
		time.Sleep(3 * time.Second)
		for range 2 {
			must(t, old.Restore(t.Context(), a, va))
		}
		same(t, "after the late clean-up", want, n.Settings())
		if err := old.Apply(t.Context(), a, va); !errors.Is(err, vf.ErrTaken) {
			t.Errorf("a late Apply: got %v; want %v", err, vf.ErrTaken)
		}
		same(t, "after a late Apply", want, n.Settings())
		must(t, next.Restore(t.Context(), b, vb))
		same(t, "at the end", factory, n.Settings())
	})
}

// The clean-up is under way, in its middle, when the next owner comes.
func TestF39_TheNextOwnerWaitsForACleanUpUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := oneCard(7, vftest.Driver{})
		dir := t.TempDir()
		old, next := setter(t, n, dir), setter(t, n, dir)
		a, b := nic.NewID(), nic.NewID()
		va := taken(t, old, a, wanted(n.VF("ens1", 3)))
		must(t, old.Apply(t.Context(), a, va))
		var slow atomic.Bool
		n.BeforeSet = func(string) {
			if !slow.Swap(true) {
				time.Sleep(3 * time.Second)
			}
		}
		done := make(chan error, 1)
		go func() { done <- old.Restore(t.Context(), a, va) }()
		synctest.Wait() // it is about to write
		began := time.Now()
		vb := taken(t, next, b, wanted(n.VF("ens1", 3)))
		must(t, next.Apply(t.Context(), b, vb))
		if took := time.Since(began); took < 3*time.Second {
			t.Errorf("the next owner came in after %s, in the middle of the clean-up", took)
		}
		must(t, <-done)
		if now := n.Settings()[vb.PCI]; now.MAC != vb.Set.MAC || now.VLAN.ID != 100 {
			t.Errorf("the next owner's VF is set to %+v; want %+v", now, vb.Set)
		}
	})
}

func TestF39_TheWaitHasAnEndAndAName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := oneCard(7, vftest.Driver{})
		dir := t.TempDir()
		s := setter(t, n, dir)
		v := taken(t, s, nic.NewID(), wanted(n.VF("ens1", 3)))
		stuck, err := os.OpenFile(filepath.Join(dir, v.PCI+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
		must(t, err)
		defer stuck.Close()
		must(t, unix.Flock(int(stuck.Fd()), unix.LOCK_EX))
		began := time.Now()
		_, err = s.Take(t.Context(), nic.NewID(), v)
		if err == nil || !strings.Contains(err.Error(), "lock VF 0000:03:10.3: somebody else has worked at it for 1m0s") || time.Since(began) > 61*time.Second {
			t.Errorf("after %s: got %v", time.Since(began), err)
		}
	})
}

// 32 starts on 7 VFs, in four processes: each picks the first VF that it is given.
func TestF40_NoVFIsGivenTwice(t *testing.T) {
	t.Parallel()
	n := oneCard(7, vftest.Driver{})
	dir := t.TempDir()
	var mu sync.Mutex
	owners := map[string][]nic.ID{}
	var refused int
	var all sync.WaitGroup
	for i := range 32 {
		s := setter(t, n, dir)
		all.Go(func() {
			id := nic.NewID()
			for k := range 7 {
				v := wanted(n.VF("ens1", (i+k)%7))
				was, err := s.Take(context.Background(), id, v)
				if errors.Is(err, vf.ErrTaken) {
					continue
				}
				v.Was = was
				if err == nil {
					err = s.Apply(context.Background(), id, v)
				}
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("start %d: %v", i, err)
				}
				owners[v.PCI] = append(owners[v.PCI], id)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			refused++
		})
	}
	all.Wait()
	if len(owners) != 7 || refused != 25 {
		t.Errorf("%d VFs given, %d refused; want 7 and 25", len(owners), refused)
	}
	macs := map[nic.MAC]bool{}
	for pci, ids := range owners {
		if len(ids) != 1 {
			t.Errorf("VF %s has %d owners: %v", pci, len(ids), ids)
		}
		macs[n.Settings()[pci].MAC] = true
	}
	if len(macs) != 7 {
		t.Errorf("%d MACs on 7 VFs", len(macs))
	}
}
