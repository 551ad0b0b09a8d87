package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

var errDied = errors.New("the controller died here")

// A mortal store is that of a controller which dies at one of its commits, before it
// or after it: from then on nothing that it does has an effect.
type mortal struct {
	store.Store
	mu    sync.Mutex // guards what follows
	left  int        // commits until it dies
	after bool
	dead  bool
	died  bool // at any time
}

func (m *mortal) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return 0, errDied
	}
	m.left--
	dies := m.left == 0
	if dies {
		m.dead, m.died = true, true
	}
	if dies && !m.after {
		return 0, errDied
	}
	rev, err := m.Store.Commit(ctx, ops...)
	if dies {
		return 0, errDied
	}
	return rev, err
}

// revive says whether it was dead.
func (m *mortal) revive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.dead
	m.dead = false
	return was
}

// A promotedLife is that of a container which falls back, and is promoted once the
// one that has the VF is gone.
type promotedLife struct {
	*rig
	m *mortal
}

// work has the node do what is wanted of it, and replaces a controller that has died.
func (l *promotedLife) work() {
	l.t.Helper()
	if l.m.revive() {
		l.stop()
		l.startVFs()
	}
	l.vfsOf() // no two NICs have one
	wanted, _, _ := l.alloc.Wanted(l.t.Context(), "vm1", 0)
	report := nic.NodeReport{Session: l.node.Session}
	for _, w := range wanted {
		o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, State: nic.ObservedIn, Running: true}
		switch {
		case w.NIC == "":
			continue
		case w.Gone:
			o.State = nic.ObservedClean
		case w.Device.Kind == nic.SRIOV && w.Device.VF.Was.Boot == "":
			o.State, o.Former = nic.ObservedWaiting, []nic.VFWas{{Boot: "b1"}}
		}
		report.NICs = append(report.NICs, o)
	}
	_ = l.alloc.Report(l.t.Context(), "vm1", report) // it is said again
	l.wait(50 * time.Millisecond)
}

func (l *promotedLife) until(what string, is func() bool) {
	l.t.Helper()
	for end := time.Now().Add(10 * time.Minute); !is(); l.work() {
		if time.Now().After(end) {
			l.t.Fatalf("not %s", what)
		}
	}
}

func (l *promotedLife) bound(name string, kind nic.DeviceKind) nic.Claim {
	l.t.Helper()
	var claim nic.Claim
	l.until(name+" bound to a "+string(kind), func() bool {
		now, err := l.alloc.Acquire(l.t.Context(), owner(name), name, nic.Request{Interface: "eth0", Network: "cards"})
		if err == nil && now.Phase == nic.ClaimBound {
			n, err := l.alloc.NIC(l.t.Context(), now.NIC)
			claim = now
			return err == nil && n.Seen.Device.Kind == kind
		}
		return false
	})
	return claim
}

func (l *promotedLife) gone(claim nic.Claim) {
	l.t.Helper()
	l.until("gone", func() bool {
		_ = l.alloc.Release(l.t.Context(), claim.ID, claim.Epoch)
		_, err := l.alloc.Claim(l.t.Context(), claim.ID)
		return errors.Is(err, allocator.ErrNotFound)
	})
}

// live says whether the controller died.
func (l *promotedLife) live() bool {
	first := l.bound("0001", nic.SRIOV)
	second := l.bound("0002", nic.Macvlan)
	l.gone(first)
	l.until("promoted", func() bool {
		n, err := l.alloc.NIC(l.t.Context(), l.claim(second.ID).NIC)
		if err == nil && n.Seen.Device.Kind == nic.SRIOV {
			return true
		}
		_, _ = l.alloc.Promote(l.t.Context(), second.ID, false)
		return false
	})
	now := l.bound("0002", nic.SRIOV)
	if now.ID != second.ID || now.Identity.MAC != second.Identity.MAC || now.NIC == second.NIC {
		l.t.Errorf("it was %+v, and is %+v", second, now)
	}
	l.gone(now)
	l.wait(time.Minute)
	l.emptyStore()
	return l.m.died
}

// F50: the controller dies at each commit of a life that falls back and is promoted,
// before it and after it. No VF is two NICs' at any time, the claim keeps its MAC, gets
// its VF, and nothing is left.
func TestF50_ACrashAtEachStepOfAPromotion(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		at := 1
		for ; promoted(t, at, after) && !t.Failed(); at++ {
		}
		if at < 30 {
			t.Errorf("after %v: only %d commits were died at", after, at-1)
		}
	}
}

func promoted(t *testing.T, at int, after bool) (died bool) {
	t.Run(fmt.Sprintf("%d after %v", at, after), func(t *testing.T) {
		vfs(t, 1, func(t *testing.T, r *rig) {
			m := &mortal{Store: r.store, left: at, after: after}
			r.stop()
			r.store = m
			r.startVFs()
			died = (&promotedLife{r, m}).live()
			synctest.Wait()
		})
	})
	return died
}
