package allocator

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The first looks at a NIC in transition come in quick succession, each wait
// twice the last, until they are Options.Poll apart: a hypervisor plugs in
// within 60 ms, a cloud within seconds.
const firstLook = 20 * time.Millisecond

// A flight is a NIC in transition.
type flight struct {
	provider string
	state    nic.State // that it was last seen in
	// returning: a change only wakes the work, which looks for itself.
	returning bool
	next      time.Time
	wait      time.Duration // between the look before and the next
	// asked is when the provider was last asked to bring it on, and patience how
	// long after it is asked again.
	asked    time.Time
	patience time.Duration
}

// lookAt has the poller look at a NIC in that state, soon and then less and
// less often, until it has landed.
func (a *Allocator) lookAt(n nic.NIC, state nic.State) { a.fly(n, state, firstLook) }

// lookLater is lookAt for a NIC that is in trouble: nothing is to be gained by
// haste.
func (a *Allocator) lookLater(n nic.NIC) { a.fly(n, n.Seen.State, a.opts.Poll) }

// fly begins a NIC's flight, unless it is on the same one already.
func (a *Allocator) fly(n nic.NIC, state nic.State, first time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	returning := n.Phase != nic.PhasePlanned
	if f := a.inFlight[n.ID]; f != nil && f.state == state && f.returning == returning {
		return // its looks go on as they are
	}
	first = min(first, a.opts.Poll)
	now := time.Now()
	a.inFlight[n.ID] = &flight{
		provider: n.Provider, state: state, returning: returning, next: now.Add(first), wait: first, asked: now, patience: attachAgain,
	}
	a.poke(n.Provider)
}

func (a *Allocator) landed(id nic.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.inFlight, id)
}

// hint has a provider's NIC looked at now, or all of them that are in
// transition if id is "".
func (a *Allocator) hint(name string, id nic.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for of, f := range a.inFlight {
		if f.provider == name && (id == "" || id == of) {
			f.next = now
		}
	}
	a.poke(name)
}

// poke has the provider's poller think again. The caller holds the lock.
func (a *Allocator) poke(name string) {
	select {
	case a.pokes[name] <- struct{}{}:
	default:
	}
}

// poll asks a provider for its NICs in transition, for all that are due in one
// call. A provider that is slow to answer is asked at most half of the time.
func (a *Allocator) poll(ctx context.Context, name string) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.pokes[name]:
		}
		if due := a.due(name, time.Now()); len(due) > 0 {
			took := a.pollOne(ctx, name, due)
			if a.pause(ctx, took) != nil {
				return
			}
		}
		timer.Reset(a.untilNext(name))
	}
}

func (a *Allocator) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// due takes the flights that are to be looked at now and sets their next look.
func (a *Allocator) due(name string, now time.Time) map[nic.ID]flight {
	due := map[nic.ID]flight{}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, f := range a.inFlight {
		// What would be due in a moment goes along.
		if f.provider != name || f.next.After(now.Add(f.wait/4)) {
			continue
		}
		due[id] = *f
		f.wait = min(2*f.wait, a.opts.Poll)
		f.next = now.Add(f.wait)
	}
	return due
}

func (a *Allocator) untilNext(name string) time.Duration {
	wait := time.Hour
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.inFlight {
		if f.provider == name {
			wait = min(wait, time.Until(f.next))
		}
	}
	return max(0, wait)
}

// storedAtOnce is how many answers are stored at a time: commits that come together
// are one write to the disk.
const storedAtOnce = 32

// pollOne looks at those that are due, stores what there is to be seen, and returns how
// long the provider took to answer.
func (a *Allocator) pollOne(ctx context.Context, name string, due map[nic.ID]flight) (took time.Duration) {
	p, begin := a.opts.Providers[name], time.Now()
	ctx, cancel := context.WithTimeout(ctx, worstCall(p))
	defer cancel()
	ids := make([]nic.ID, 0, len(due))
	for id := range due {
		ids = append(ids, id)
	}
	all, err := p.Get(ctx, ids...)
	took = time.Since(begin)
	a.reached(name, err)
	if err != nil {
		if ctx.Err() == nil {
			a.opts.Log.Warn("provider did not answer", "provider", name, "nics", len(ids), "err", err)
		}
		return took
	}
	seen := make([]nic.ID, 0, len(ids))
	for id, f := range due {
		now, ok := all[id]
		if deleting := f.returning && f.state == nic.StateDeleting; !ok && !deleting {
			continue // not seen is not gone; of one that is being deleted the next delete says whether it is
		}
		if f.returning {
			if now.State != f.state {
				a.landed(id)
				a.queue.Wake(nicKey(id))
			}
			continue
		}
		seen = append(seen, id)
	}
	a.storeSeen(ctx, name, seen, all)
	return took
}

// storeSeen stores what there is to be seen of the NICs, by few goroutines: each that
// begins anew grows a stack.
func (a *Allocator) storeSeen(ctx context.Context, name string, ids []nic.ID, all map[nic.ID]nic.Seen) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(storedAtOnce, len(ids)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(ids) {
					return
				}
				id := ids[i]
				if _, err := a.seen(ctx, nic.NIC{ID: id, Provider: name}, all[id], nil); err != nil {
					a.opts.Log.Warn("could not store what a provider said", "nic", id, "claim", a.ClaimOf(id), "err", err)
				}
			}
		})
	}
	wg.Wait()
}

// listen passes the provider's hints on to its poller, where it gives any.
func (a *Allocator) listen(ctx context.Context, name string) {
	if h, ok := provider.As[provider.Hinter](a.opts.Providers[name]); ok {
		h.Hints(ctx, func(id nic.ID) { a.hint(name, id) })
	}
}

// worstCall is the provider's own bound on a call, or one for those that say
// none.
func worstCall(p provider.Provider) time.Duration {
	if d := p.Info().WorstCall; d > 0 {
		return d
	}
	return 30 * time.Second
}
