package allocator

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// recover wakes every NIC and claim: their records say where they were, and
// working on a record that needs nothing is cheap. The watch continues from
// the revision that was read.
func (a *Allocator) recover(ctx context.Context) (store.Watch, error) {
	nics, rev, err := store.ListJSON[nic.NIC](ctx, a.opts.Store, nicPrefix, "", 0)
	if err != nil {
		return nil, err
	}
	claims, _, err := store.ListJSON[nic.Claim](ctx, a.opts.Store, claimPrefix, "", 0)
	if err != nil {
		return nil, err
	}
	if err := a.remember(ctx); err != nil {
		return nil, err
	}
	if err := a.recoverPublic(ctx); err != nil {
		return nil, err
	}
	a.spares.learn(nics, rev)
	for _, n := range nics {
		a.changes.learn(n.Value)
		a.queue.Wake(n.Key)
	}
	for _, c := range claims {
		a.queue.Wake(c.Key)
	}
	nodes, _, err := store.ListJSON[nic.Node](ctx, a.opts.Store, nodePrefix, "", 0)
	if err != nil {
		return nil, err
	}
	a.trips.clear()
	for _, n := range nics {
		a.trips.learnNIC(n.Value)
	}
	for _, c := range claims {
		a.trips.learn(c.Value)
	}
	a.tallies.learn(nics, claims, nodes)
	a.crowds.learn(claims)
	for _, node := range nodes {
		a.overlaps.learn(node.Value)
	}
	a.queue.Wake(refusedKey)
	a.queue.Wake(expireKey)
	for _, node := range nodes {
		a.queue.Wake(poolRoot + node.Value.Name)
	}
	a.changes.start(rev)
	return a.opts.Store.Watch(ctx, "", rev)
}

// follow wakes the queue and the waiting nodes for every change, until ctx
// ends or the store fails.
func (a *Allocator) follow(ctx context.Context, watch store.Watch) error {
	for {
		events, err := watch.Next(ctx)
		switch {
		case errors.Is(err, store.ErrCompacted): // fell behind: read everything again
			watch.Close()
			if watch, err = a.recover(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("watch the store: %w", err)
		}
		store.Once(events)
		a.seeAddresses(events)
		a.wakePools(events)
		for _, e := range events {
			a.tallies.see(e)
			a.crowds.see(e)
			a.trips.see(e)
			a.glances.see(e)
			a.overlaps.see(e)
			if a.changes.see(e) {
				a.queue.Wake(e.Key)
			}
		}
	}
}

// remember reads who has which address, and sees every change from then on.
func (a *Allocator) remember(ctx context.Context) error {
	if err := a.taken.follow(ctx, a.opts.Store); err != nil {
		return fmt.Errorf("read what is reserved: %w", err)
	}
	if err := a.usage.follow(ctx, a.opts.Store); err != nil {
		return err
	}
	for _, prefix := range []string{nicPrefix, observedPrefix} {
		records, _, err := a.opts.Store.List(ctx, prefix, "", 0)
		if err != nil {
			return fmt.Errorf("read which addresses were seen: %w", err)
		}
		for _, r := range records {
			a.reported.see(r.Key, r, false)
		}
	}
	return nil
}

// seeAddresses notes changed records, before anybody is woken by them.
func (a *Allocator) seeAddresses(events []store.Event) {
	for _, e := range events {
		a.reported.see(e.Key, e.Record, e.Gone)
	}
	a.usage.see(events)
	if a.taken.see(events) {
		a.queue.Wake(expireKey)
	}
}
