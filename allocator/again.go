package allocator

import (
	"context"
	"errors"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A hypervisor can lose a card that it has plugged in: the guest lets go of it
// when it is told late of what was meant for the last card in that slot. To the
// provider the NIC is attaching then, and nothing happens until it is asked
// again, which is nothing new to one that is at it. It is asked after
// attachAgain, and then after twice the last wait.
const (
	attachAgain     = 5 * time.Second
	attachAgainMost = time.Minute
)

// insist repeats an attach that lasts, and says when to look again.
func (a *Allocator) insist(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	if wait := a.untilAgain(n.ID); wait > 0 {
		return wait, nil
	}
	seen, err := p.Attach(ctx, n.ID, nic.Place{Node: n.Node, Instance: n.Instance})
	if !errors.Is(err, errTurn) { // else it was not asked, and is to be once its turn has come
		a.askedAgain(n.ID)
	}
	if err != nil {
		return a.failed(ctx, n, err)
	}
	if _, err = a.seen(ctx, n, seen, nil); err != nil {
		return 0, err
	}
	return attachAgain, a.unnote(ctx, n, nic.ReasonProviderError, nic.ReasonWaitingForTurn)
}

// untilAgain is how long the NIC, which is in flight, is left alone.
func (a *Allocator) untilAgain(id nic.ID) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.inFlight[id]
	if f == nil {
		return attachAgain
	}
	return max(0, f.patience-time.Since(f.asked))
}

func (a *Allocator) askedAgain(id nic.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.inFlight[id]; f != nil {
		f.asked, f.patience = time.Now(), min(2*f.patience, attachAgainMost)
	}
}

// replug has a NIC that is in use attached again if its node has waited for it
// and the provider has lost it. left is until the wait's end; replug says when
// to look again.
func (a *Allocator) replug(ctx context.Context, p provider.Provider, n nic.NIC, left time.Duration) time.Duration {
	if wait := attachAgain - (a.opts.UnseenAfter - left); wait > 0 {
		return min(wait, left)
	}
	id := pluggedOf(n)
	all, err := p.Get(ctx, id)
	if err == nil && all[id].State == nic.StateAttaching {
		_, err = p.Attach(ctx, id, nic.Place{Node: n.Node, Instance: n.Instance})
		if err == nil {
			a.opts.Log.Warn("NIC was lost by its provider, and is plugged in again", "nic", n.ID, "claim", n.Holder, "node", n.Node)
		}
	}
	if err != nil {
		a.opts.Log.Warn("could not plug a NIC in again that its node does not see", "nic", n.ID, "claim", n.Holder, "node", n.Node, "err", err)
	}
	return min(attachAgain, left)
}
