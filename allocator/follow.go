package allocator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// recover wakes every NIC and claim: their records say where they were, and
// working on a record that needs nothing is cheap. The watch continues from
// the revision that was read. The records are read one by one, and what is kept of
// them is small: there may be a million.
func (a *Allocator) recover(ctx context.Context) (store.Watch, error) {
	counted := newCounted()
	spares, homes := map[nic.ID]spareMark{}, map[nic.ClaimID]string{}
	var unserved []store.JSON[nic.Claim]
	a.trips.clear()
	a.owners.clear()
	a.ours.clear()
	rev, err := store.WalkJSON(ctx, a.opts.Store, nicPrefix, func(r store.JSON[nic.NIC]) error {
		n := r.Value
		counted.nics[n.ID], spares[n.ID] = markOfNIC(n), spareMarkOf(n)
		a.changes.learn(n)
		a.trips.learnNIC(n)
		a.reported.own(n)
		a.queue.Wake(r.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = store.WalkJSON(ctx, a.opts.Store, claimPrefix, func(r store.JSON[nic.Claim]) error {
		c := r.Value
		counted.claims[c.ID], homes[c.ID] = markOfClaim(c), c.Owner.Node
		if isUnserved(c) {
			unserved = append(unserved, r)
		}
		a.trips.learn(c)
		a.owners.learn(c.Owner)
		a.queue.Wake(r.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := a.remember(ctx); err != nil {
		return nil, err
	}
	if err := a.recoverPublic(ctx); err != nil {
		return nil, err
	}
	_, err = store.WalkJSON(ctx, a.opts.Store, nodePrefix, func(r store.JSON[nic.Node]) error {
		counted.nodes[r.Value.Name] = r.Value
		a.overlaps.learn(r.Value)
		a.queue.Wake(poolRoot + r.Value.Name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	a.spares.learn(spares, rev)
	a.tallies.learn(counted)
	a.crowds.learn(homes)
	a.unserved.learn(unserved, rev)
	a.queue.Wake(refusedKey)
	a.queue.Wake(expireKey)
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
		a.ours.know(events)
		a.seeAddresses(events)
		a.wakePools(events)
		for _, e := range events {
			a.tallies.see(e)
			a.crowds.see(e)
			a.owners.see(e)
			if a.unserved.see(e) {
				a.queue.Wake(refusedKey)
			}
			a.trips.see(e)
			a.glances.see(e)
			a.overlaps.see(e)
			if a.changes.see(e) {
				a.queue.Wake(e.Key)
			} else if id, ok := strings.CutPrefix(e.Key, claimPrefix); ok {
				a.wakePublic(nic.ClaimID(id))
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
	_, err := store.Walk(ctx, a.opts.Store, observedPrefix, func(r store.Record) error {
		a.reported.see(r.Key, r, false)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read which addresses were seen: %w", err)
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
