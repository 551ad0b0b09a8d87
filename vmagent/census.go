package vmagent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// A census looks at all containers of the wishes, so there is at most one in
// censusGap, however fast the wishes change.
const (
	censusGap      = time.Second
	censusDeadline = 30 * time.Second
)

// While containers and NICs move, a census would have the engine and the kernel
// answer it and not them. It waits until nothing has moved for censusRest, for as
// long as whoever asks waits for it, and at the very most for censusLast.
const (
	censusRest     = time.Second
	censusPatience = 4 * time.Second
	censusLast     = 15 * time.Second
	censusLook     = 200 * time.Millisecond
)

// censuses says for which revision of the wishes a census is asked.
type censuses struct {
	some chan struct{}
	mu   sync.Mutex
	rev  uint64
	at   time.Time // when it was asked for last
}

func newCensuses() *censuses { return &censuses{some: make(chan struct{}, 1)} }

func (c *censuses) ask(rev uint64) {
	c.mu.Lock()
	c.rev, c.at = rev, time.Now()
	c.mu.Unlock()
	select {
	case c.some <- struct{}{}:
	default:
	}
}

func (c *censuses) asked() (rev uint64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rev, c.at
}

// takeCensuses answers each new revision of the wishes with a census, until ctx
// ends.
func (a *Agent) takeCensuses(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.censuses.some:
		}
		if a.awaitRest(ctx) != nil {
			return
		}
		rev, _ := a.censuses.asked()
		census, err := a.takeCensus(ctx, rev)
		switch {
		case err == nil:
			a.report.count(census)
		case ctx.Err() == nil:
			a.opts.Log.Warn("census not taken, the next will be", "err", err)
		}
		if retry.Sleep(ctx, censusGap) != nil {
			return
		}
	}
}

// awaitRest waits until nothing moves on the node. What was wanted along with the
// census has begun by the first look.
func (a *Agent) awaitRest(ctx context.Context) error {
	begin, moved := time.Now(), time.Time{}
	for {
		if err := retry.Sleep(ctx, censusLook); err != nil {
			return err
		}
		if a.moves() {
			moved = time.Now()
		}
		_, asked := a.censuses.asked()
		if time.Since(moved) >= censusRest || time.Since(asked) >= censusPatience || time.Since(begin) >= censusLast {
			return nil
		}
	}
}

// moves says whether an order is being carried out, or a NIC is on the move.
func (a *Agent) moves() bool {
	return a.opts.Orders.Busy() || slices.ContainsFunc(a.wishes.all(), onMove)
}

// takeCensus looks at the engine and the kernel, and at nothing that the workers
// remember. It disturbs none of them.
func (a *Agent) takeCensus(ctx context.Context, rev uint64) (nic.Census, error) {
	ctx, cancel := context.WithTimeout(ctx, censusDeadline)
	defer cancel()
	census := nic.Census{Revision: rev, NICs: []nic.ID{}, Containers: []string{}}
	wishes := a.wishes.all()
	var err error
	if census.Strays, err = a.maker.Strays(ctx, wishes); err != nil {
		return census, fmt.Errorf("count links: %w", err)
	}
	for _, key := range a.wishes.keys() {
		mine := slices.DeleteFunc(slices.Clone(wishes), func(w nic.Wanted) bool { return keyOf(w) != key })
		known, err := a.countContainer(ctx, key, mine, &census)
		if err != nil {
			return census, fmt.Errorf("count container %.12s: %w", key, err)
		}
		if known {
			census.Containers = append(census.Containers, key)
		}
	}
	all, err := a.opts.Engine.List(ctx)
	if err != nil {
		return census, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range all { // one that has given its NICs away is in no wish
		if len(nic.ParseLabels(c.Labels)) > 0 && !slices.Contains(census.Containers, c.ID) {
			census.Containers = append(census.Containers, c.ID)
		}
	}
	return census, nil
}

// countContainer finds one container's NICs, and says whether there is such a
// container.
func (a *Agent) countContainer(ctx context.Context, key string, mine []nic.Wanted, census *nic.Census) (known bool, err error) {
	var at []*netns.Namespace
	if !ofNIC(key) {
		c, err := a.opts.Engine.Get(ctx, key)
		if known = !errors.Is(err, containers.ErrNotFound); known && err != nil {
			return true, err
		}
		if known && c.Running {
			ns, err := a.opts.Engine.Namespace(ctx, c)
			switch {
			case err == nil:
				defer ns.Close()
				at = append(at, ns)
			case !errors.Is(err, containers.ErrGone): // it has died since
				return true, err
			}
		}
	}
	for _, w := range mine {
		if w.NIC == "" {
			continue
		}
		// In doubt it is there: where it cannot be looked for it is not missed.
		if _, found, err := a.maker.Locate(ctx, w.NIC, w.Device, at...); found || err != nil {
			census.NICs = append(census.NICs, w.NIC)
		}
	}
	return known, nil
}
