package allocator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// begin reads all that an earlier run left behind, mends what it is to mend before the
// work begins, and wakes what needs work. The watch continues from what was read.
func (a *Allocator) begin(ctx context.Context) (store.Watch, error) {
	look := newBeginning(a)
	watch, err := a.recover(ctx, look)
	if err != nil {
		return nil, err
	}
	if err := look.mend(ctx); err != nil {
		watch.Close()
		return nil, err
	}
	return watch, nil
}

// recover wakes NICs and claims: their records say where they were, and working on a
// record that needs nothing is cheap. For the first time, with look, only those are woken
// that may need something; later there may be more of others in memory. The watch
// continues from the revision that was read. The records are read one by one, and what is
// kept of them is small: there may be a million.
func (a *Allocator) recover(ctx context.Context, look *beginning) (store.Watch, error) {
	_, rev, err := a.opts.Store.List(ctx, store.LeaderPrefix, "", 1)
	if err != nil {
		return nil, err
	}
	if err := a.remember(ctx); err != nil { // first: until then each claim reads it for itself
		return nil, err
	}
	counted := newCounted()
	a.trips.clear()
	a.owners.clear()
	a.ours.clear()
	if err := a.recoverNICs(ctx, look, &counted, rev); err != nil {
		return nil, err
	}
	if err := a.recoverClaims(ctx, look, &counted, rev); err != nil {
		return nil, err
	}
	if err := a.recoverPublic(ctx); err != nil {
		return nil, err
	}
	_, err = store.WalkJSON(ctx, a.opts.Store, nodePrefix, func(r store.JSON[nic.Node]) error {
		if look != nil && ownClock && a.back(&r.Value.LastSeen) {
			look.nodes = append(look.nodes, r.Key)
		}
		counted.nodes[r.Value.Name] = r.Value
		a.overlaps.learn(r.Value)
		if look == nil || a.pooled() || len(a.spares.on(r.Value.Name)) > 0 {
			a.queue.Wake(poolRoot + r.Value.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	a.tallies.learn(counted)
	a.queue.Wake(refusedKey)
	a.queue.Wake(expireKey)
	a.changes.start(rev)
	return a.opts.Store.Watch(ctx, "", rev)
}

func (a *Allocator) recoverNICs(ctx context.Context, look *beginning, counted *counted, at store.Rev) error {
	spares := few[nic.ID, spareMark]{}
	_, err := store.WalkAs(ctx, a.opts.Store, nicPrefix, look.nic, func(r looked[nic.NIC]) error {
		n := r.Value
		counted.nics[n.ID] = markOfNIC(n)
		spares.put(n.ID, spareMarkOf(n))
		a.changes.learn(n)
		a.trips.learnNIC(n)
		a.reported.own(n)
		if look != nil {
			look.noteNIC(r)
		}
		if look == nil || !a.restsNIC(n) {
			a.queue.Wake(r.Key)
		}
		return nil
	})
	a.spares.learn(spares, at)
	return err
}

func (a *Allocator) recoverClaims(ctx context.Context, look *beginning, counted *counted, at store.Rev) error {
	homes := map[nic.ClaimID]string{}
	var unserved []store.JSON[nic.Claim]
	_, err := store.WalkAs(ctx, a.opts.Store, claimPrefix, look.claim, func(r looked[nic.Claim]) error {
		c := r.Value
		counted.claims.put(c.ID, markOfClaim(c))
		homes[c.ID] = shared(c.Owner.Node)
		if isUnserved(c) {
			unserved = append(unserved, r.JSON)
		}
		a.trips.learn(c)
		a.owners.learn(c.Owner)
		if look != nil {
			look.noteClaim(r)
		}
		if look != nil && restsClaim(c) {
			a.wakePublic(c.ID)
		} else {
			a.queue.Wake(r.Key)
		}
		return nil
	})
	a.crowds.learn(homes)
	a.unserved.learn(unserved, at)
	return err
}

// follow wakes the queue and the waiting nodes for every change, until ctx
// ends or the store fails.
func (a *Allocator) follow(ctx context.Context, watch store.Watch) error {
	for {
		events, err := watch.Next(ctx)
		switch {
		case errors.Is(err, store.ErrCompacted): // fell behind: read everything again
			watch.Close()
			if watch, err = a.recover(ctx, nil); err != nil {
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
	_, err := store.WalkJSON(ctx, a.opts.Store, observedPrefix, func(r store.JSON[nic.Observed]) error {
		a.reported.observe(nic.ID(strings.TrimPrefix(r.Key, observedPrefix)), r.Value)
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
