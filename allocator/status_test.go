package allocator_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A fullable store is one whose disk can be full.
type fullable struct {
	store.Store
	full atomic.Bool
}

func (f *fullable) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if f.full.Load() {
		return 0, &errDisk{}
	}
	return f.Store.Commit(ctx, ops...)
}

type errDisk struct{}

func (*errDisk) Error() string {
	return "commit to /var/lib/nicferry/store.db: no space left on device"
}
func (*errDisk) Unwrap() error { return syscall.ENOSPC }

// tells wants exactly these conditions of the controller.
func (r *rig) tells(want ...nic.Reason) []nic.Condition {
	r.t.Helper()
	conditions := r.alloc.Status(r.t.Context())
	var got []nic.Reason
	for _, c := range conditions {
		got = append(got, c.Reason)
		if c.Message == "" || c.Since.IsZero() {
			r.t.Errorf("%+v says too little", c)
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("the controller says %v, want %v", conditions, want)
	}
	return conditions
}

func reasons(cs []nic.Condition) (all []nic.Reason) {
	for _, c := range cs {
		all = append(all, c.Reason)
	}
	return all
}

// F52: while the disk is full, what containers have stays, and everybody who
// looks is told by name; then it goes on by itself.
func TestF52_AFullDiskIsToldAndPasses(t *testing.T) {
	bubble(t, fake.Options{Latency: fake.Latency{Attach: time.Second}}, func(t *testing.T, r *rig) {
		disk := &fullable{Store: r.store}
		r.store = disk
		r.crash()
		has := r.bound("a001", "web")
		waits := r.acquire("a002", "lab")
		r.wait(100 * time.Millisecond)
		r.tells()

		disk.full.Store(true)
		_, err := r.alloc.Acquire(t.Context(), owner("a003"), "third", nic.Request{Interface: "eth0", Network: "lab"})
		if !errors.Is(err, allocator.ErrStore) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("a claim that cannot be stored: %v", err)
		}
		r.wait(time.Minute)
		if c := r.tells(nic.ReasonStoreUnreachable)[0]; !strings.Contains(c.Message, "no space left") || time.Since(c.Since) < 50*time.Second {
			t.Errorf("the controller says %+v", c)
		}
		node, err := r.alloc.Node(t.Context(), "vm1")
		if err != nil || !slices.Equal(reasons(node.Conditions), []nic.Reason{nic.ReasonStoreUnreachable}) {
			t.Errorf("the node is shown as %+v, %v", node, err)
		}
		if got := r.claim(waits.ID); !slices.Contains(reasons(got.Conditions), nic.ReasonStoreUnreachable) {
			t.Errorf("what waits is shown as %+v", got)
		}
		if got := r.claim(has.ID); got.Phase != nic.ClaimBound || len(got.Conditions) > 0 {
			t.Errorf("what is well is shown as %+v", got)
		}
		detached := r.cloud.Counts()[fake.OpDetach].Calls

		disk.full.Store(false)
		r.wants(waits.ID, nic.ClaimReady, time.Minute)
		r.tells()
		if n := r.cloud.Counts()[fake.OpDetach].Calls; n != detached || n != 0 {
			t.Errorf("detach was called %d times", n)
		}
	})
}

// A provider that does not answer is told by name on what waits for it, and not
// on what is in use.
func TestAnOutageIsToldByName(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		has := r.bound("a001", "web")
		for range 1000 {
			for _, op := range []string{fake.OpLimits, fake.OpGet, fake.OpList} {
				r.cloud.Fail(op, provider.ErrUnknown)
			}
		}
		waits := r.acquire("a002", "web")
		r.wait(10 * time.Second)
		got := r.claim(waits.ID)
		if !slices.Equal(reasons(got.Conditions), []nic.Reason{nic.ReasonUnreachable}) || got.Phase != nic.ClaimPending {
			t.Errorf("the claim that waits is shown as %+v", got)
		}
		n, err := r.alloc.NIC(t.Context(), got.NIC)
		if err != nil || !slices.Equal(reasons(n.Conditions), []nic.Reason{nic.ReasonUnreachable}) {
			t.Errorf("its NIC is shown as %+v, %v", n, err)
		}
		if c := n.Conditions[0]; !strings.Contains(c.Message, "provider fake does not answer") || time.Since(c.Since) < 9*time.Second {
			t.Errorf("its NIC says %+v", c)
		}
		n, err = r.alloc.NIC(t.Context(), has.NIC)
		if got := r.claim(has.ID); err != nil || len(got.Conditions) > 0 || len(n.Conditions) > 0 {
			t.Errorf("what is in use is shown as %+v, %+v, %v", got, n, err)
		}
		r.tells(nic.ReasonUnreachable)
		r.cloud.Forgive()
		r.wants(waits.ID, nic.ClaimReady, time.Minute)
		r.tells()
	})
}

// A silent node, a controller without the lead and a store that is closed are
// told by name too.
func TestStatusTellsByName(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.wait(time.Nanosecond)
		r.tells()
		r.wait(2 * time.Minute)
		if c := r.tells(nic.ReasonNodeSilent)[0]; !strings.Contains(c.Message, "vm1") {
			t.Errorf("the controller says %+v", c)
		}
		r.stop()
		r.tells(nic.ReasonNotLeading, nic.ReasonNodeSilent)
		r.store.Close()
		r.tells(nic.ReasonNotLeading, nic.ReasonStoreUnreachable)
		r.stop = func() {}
	})
}
