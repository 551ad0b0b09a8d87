//go:build linux

package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A Restarted is what a controller takes that starts with the records of a run's peak,
// in real time, in a process of its own.
type Restarted struct {
	Claims int   `json:"claims"`
	Store  int64 `json:"store"` // bytes of the file
	// Open is until the file is read and checked, Ready until the allocator serves, and
	// Served until a new container has its NIC, of a cloud that takes no time.
	Open   time.Duration `json:"open"`
	Ready  time.Duration `json:"ready"`
	Served time.Duration `json:"served"`
	CPU    time.Duration `json:"cpu"` // until all records have been looked at
	// Memory is the process's own at the end, Peak the most that it had, Mapped what of
	// the store's file is mapped besides, which the kernel may take back at any time.
	Memory, Peak, Mapped uint64
}

// restartWithin bounds a restart's steps.
const restartWithin = 5 * time.Minute

// Restart starts an allocator on the store file at path.
func Restart(ctx context.Context, path string) (r Restarted, err error) {
	ctx, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	begin := time.Now()
	s, err := boltstore.Open(ctx, path, boltstore.Options{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.Open = time.Since(begin)
	if info, err := os.Stat(path); err == nil {
		r.Store = info.Size()
	}
	still := Options{Seed: 1, PerNode: 50, Nodes: 1, Ramp: time.Second}
	cloud := newCloud(still, func(nic.ID) int { return -1 })
	cloud.still = true
	alloc, err := allocator.New(allocator.Options{
		Store: s, Providers: map[string]provider.Provider{cloudName: cloud}, Networks: networks(), Log: slog.New(slog.DiscardHandler), Workers: Default(1).Workers,
	})
	if err != nil {
		return r, err
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var ended error
	wg.Go(func() { ended = alloc.Run(running) })
	defer func() {
		stop()
		wg.Wait()
		err = errors.Join(err, ended)
	}()
	count := &tally{}
	if err := until(ctx, "the allocator serves", func() bool {
		*count = tally{}
		alloc.Tally(count)
		return count.leads && alloc.Ready(ctx) == nil
	}); err != nil {
		return r, err
	}
	r.Ready, r.Claims = time.Since(begin), count.claims
	if err := serve(ctx, alloc); err != nil {
		return r, err
	}
	r.Served = time.Since(begin)
	last := time.Duration(-1)
	if err := until(ctx, "it has looked at all records", func() bool {
		now := cpu()
		idle := now-last < 20*time.Millisecond && last >= 0
		last = now
		return idle || sleep(ctx, time.Second) != nil
	}); err != nil {
		return r, err
	}
	r.CPU = cpu()
	r.Peak = memory("VmHWM:")
	debug.FreeOSMemory() // what is garbage by now is nobody's need
	r.Memory, r.Mapped = memory("RssAnon:"), memory("RssFile:")
	return r, nil
}

// serve has a new node start a container.
func serve(ctx context.Context, alloc *allocator.Allocator) error {
	if _, err := alloc.Hello(ctx, "late", nic.Inventory{Boot: "1"}); err != nil {
		return err
	}
	owner := nic.Owner{Node: "late", Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", 1), Interface: "eth0"}
	claim, err := alloc.Acquire(ctx, owner, "late", nic.Request{Interface: "eth0", Network: coldNetwork, DefaultRoute: true})
	if err != nil {
		return err
	}
	return until(ctx, "a new container has its NIC", func() bool {
		v, err := alloc.Claim(ctx, claim.ID)
		return err == nil && v.Phase == nic.ClaimReady
	})
}

func until(ctx context.Context, what string, is func() bool) error {
	for !is() {
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
	return nil
}

// A tally counts claims.
type tally struct {
	claims int
	leads  bool
}

func (t *tally) Claims(_ nic.ClaimPhase, _, _ string, n int) { t.claims += n }
func (t *tally) NICs(nic.Phase, string, int)                 {}
func (t *tally) Nodes(nic.NodePhase, int)                    {}
func (t *tally) Pool(string, int)                            {}
func (t *tally) Leading(leads bool)                          { t.leads = leads }
