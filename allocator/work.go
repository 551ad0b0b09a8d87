package allocator

import (
	"context"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Deadlines of the waits that a NIC goes through. When one passes, the wait
// is either given up (plug) or shown as overdue (return): a NIC that may still
// be somewhere is never forgotten.
const (
	plugDeadline   = 5 * time.Minute // F09: an attach that never arrives
	returnDeadline = time.Minute
	// turnDeadline is for a NIC that others are before: a burst of thousands at
	// a provider that takes one in a second.
	turnDeadline = time.Hour
	callsPerRun  = 4                     // provider calls in one run of work, at most
	deleteAgain  = 20 * time.Millisecond // a provider that deletes at once is done with the second call
)

// work is what the queue runs for a record that may need something.
func (a *Allocator) work(ctx context.Context, key string) (time.Duration, error) {
	if id, ok := strings.CutPrefix(key, claimPrefix); ok {
		a.wakePublic(nic.ClaimID(id))
		return a.workOnClaim(ctx, nic.ClaimID(id))
	}
	if id, ok := strings.CutPrefix(key, publicPrefix); ok {
		return a.workOnPublic(ctx, nic.ClaimID(id))
	}
	if key == expireKey {
		return a.expire(ctx)
	}
	if key == refusedKey {
		return 0, a.retryRefused(ctx)
	}
	if node, ok := strings.CutPrefix(key, poolRoot); ok {
		return a.refill(ctx, node)
	}
	return a.workOnNIC(ctx, nic.ID(strings.TrimPrefix(key, nicPrefix)))
}

func (a *Allocator) workOnNIC(ctx context.Context, id nic.ID) (time.Duration, error) {
	begin := time.Now()
	n, _, found, err := get[nic.NIC](a.reader(ctx), nicKey(id))
	if err != nil {
		return 0, err
	}
	n.ID = id
	if !found {
		a.berths.forget(id)
		a.refund(n, begin)
		a.landed(id)
		a.countSlot(nic.NIC{ID: id})
		a.queue.Wake(refusedKey) // there may be a slot now
		return 0, nil
	}
	if n.Carrier != "" {
		return a.workOnSeat(ctx, a.opts.Providers[n.Provider], n)
	}
	if n.Carries {
		if err := a.wakeSeats(ctx, n); err != nil {
			return 0, err
		}
	}
	if waits, in := a.berths.enter(machineOf(n), id); !in {
		return slotAgain, a.crowded(ctx, n, waits) // it is woken before that
	}
	defer a.berths.leave(machineOf(n))
	defer a.refund(n, begin)
	a.countSlot(n)
	p, ok := a.opts.Providers[n.Provider]
	if !ok {
		return 0, a.note(ctx, id, a.because(nic.ReasonProviderError,
			"no provider %q in the controller's config: put it back, or this NIC cannot be given back", n.Provider))
	}
	ctx, cancel := context.WithTimeout(ctx, callsPerRun*worstCall(p))
	defer cancel()
	switch n.Phase {
	case nic.PhasePlanned:
		return a.plug(ctx, p, n)
	case nic.PhaseReturning:
		return a.unplug(ctx, p, n)
	case nic.PhaseRetiring:
		return a.retire(ctx, p, n)
	case nic.PhaseCooling:
		return a.thaw(ctx, n)
	}
	a.landed(id)
	a.wakePublic(n.Holder)
	if err := a.unnote(ctx, n, nic.ReasonProviderError); err != nil {
		return 0, err
	}
	if again, err := a.seekAstray(ctx, p, n); again > 0 || err != nil {
		return again, err
	}
	return a.awaitSight(ctx, p, n)
}
