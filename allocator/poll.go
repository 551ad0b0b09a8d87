package allocator

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// lookAt has the poller look at a NIC until it has landed.
func (a *Allocator) lookAt(n nic.NIC) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inFlight[n.ID] = n.Provider
}

func (a *Allocator) landed(id nic.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.inFlight, id)
}

// poll asks each provider once per tick for all its NICs in transition,
// however many there are.
func (a *Allocator) poll(ctx context.Context) {
	tick := time.NewTicker(a.opts.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		byProvider := map[string][]nic.ID{}
		a.mu.Lock()
		for id, name := range a.inFlight {
			byProvider[name] = append(byProvider[name], id)
		}
		a.mu.Unlock()
		for name, ids := range byProvider {
			a.pollOne(ctx, name, ids)
		}
	}
}

func (a *Allocator) pollOne(ctx context.Context, name string, ids []nic.ID) {
	p := a.opts.Providers[name]
	ctx, cancel := context.WithTimeout(ctx, worstCall(p))
	defer cancel()
	all, err := p.Get(ctx, ids...)
	if err != nil {
		if ctx.Err() == nil {
			a.opts.Log.Warn("provider did not answer", "provider", name, "nics", len(ids), "err", err)
		}
		return
	}
	for _, id := range ids {
		seen, ok := all[id]
		if !ok {
			continue // not seen is not gone
		}
		if _, err := a.seen(ctx, nic.NIC{ID: id}, seen, nil); err != nil {
			a.opts.Log.Warn("could not store what a provider said", "nic", id, "err", err)
		}
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
