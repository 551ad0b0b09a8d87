package allocator

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A claim's public address has a record and a life of its own, since it may have to
// outlive the claim: the NIC goes, the claim ends, and the provider takes the
// address back when it can. The claim waits for none of that, and is as good
// without: it only says that its address is missing.

// wakePublic has a claim's public address worked on, where there are any.
func (a *Allocator) wakePublic(id nic.ClaimID) {
	if id != "" && a.publishes.Load() {
		a.queue.Wake(publicKey(id))
	}
}

// recoverPublic wakes all that are on record, also those of networks that publish
// nothing any more.
func (a *Allocator) recoverPublic(ctx context.Context) error {
	records, _, err := a.opts.Store.List(ctx, publicPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("read public addresses: %w", err)
	}
	for _, r := range records {
		a.publishes.Store(true)
		a.queue.Wake(r.Key)
	}
	return nil
}

// workOnPublic brings a claim's public address to where it is to be: to the NIC
// that the claim has, and back to its provider once the claim ends. Without a NIC
// it stays the claim's, and leads nowhere. One that a claim has stays, although its
// network publishes no others any more.
func (a *Allocator) workOnPublic(ctx context.Context, id nic.ClaimID) (time.Duration, error) {
	e := a.reader(ctx)
	claim, rev, alive, err := get[nic.Claim](e, claimKey(id))
	if err != nil {
		return 0, err
	}
	pub, _, found, err := get[nic.Publication](e, publicKey(id))
	if err != nil {
		return 0, err
	}
	if over := !alive || claim.Phase == nic.ClaimReleasing; over {
		if !found {
			return 0, nil
		}
		again, err := a.unpublish(ctx, pub)
		if claim.NIC != "" {
			a.queue.Wake(nicKey(claim.NIC)) // which may have waited for that
		}
		return again, err
	}
	if !found && !a.networks[claim.Request.Network].Cloud.PublicIP {
		return 0, nil
	}
	n, ready, err := publicNIC(e, claim)
	switch {
	case err != nil || !ready: // what it waits for wakes it
		return 0, err
	case !found:
		var done bool
		if pub, done, err = a.intendPublic(ctx, claim, rev, n); err != nil || !done {
			return 0, err
		}
	case pub.Provider != n.Provider: // it is of no use any more, and the claim gets another then
		return a.unpublish(ctx, pub)
	}
	return a.publish(ctx, pub, claim, n)
}

// publicNIC is the NIC that a claim's public address leads to: the one that the
// claim has, once it is plugged in.
func publicNIC(e *edit, claim nic.Claim) (n nic.NIC, ready bool, err error) {
	if claim.NIC == "" {
		return n, false, nil
	}
	n, _, found, err := get[nic.NIC](e, nicKey(claim.NIC))
	return n, found && n.Holder == claim.ID && n.Phase == nic.PhaseHeld, err
}

// intendPublic records that the provider is going to be asked for the address,
// while the claim is as it was: from then on the record keeps the NIC from being
// another's before the address is given back. Otherwise the claim's change wakes it.
func (a *Allocator) intendPublic(ctx context.Context, claim nic.Claim, rev store.Rev, n nic.NIC) (pub nic.Publication, done bool, err error) {
	now := a.now()
	pub = nic.Publication{
		Schema: nic.Schema, Claim: claim.ID, Tenant: claim.Tenant, Provider: n.Provider, Container: claim.Container,
		Network: claim.Request.Network, Node: claim.Owner.Node, Asked: now, Created: now,
	}
	err = a.asLeader(ctx, func(e *edit) error {
		_, is, _, err := get[nic.Claim](e, claimKey(claim.ID))
		if done = is == rev; err != nil || !done {
			return err
		}
		e.check(claimKey(claim.ID), rev)
		e.create(publicKey(claim.ID), pub)
		return nil
	})
	return pub, done, err
}

// publish has the claim's address lead to the NIC, and tells the claim of it.
func (a *Allocator) publish(ctx context.Context, pub nic.Publication, claim nic.Claim, n nic.NIC) (time.Duration, error) {
	addr := pub.Addr
	if pub.NIC != n.ID || !addr.IsValid() {
		p, err := a.publisher(pub.Provider)
		if err == nil {
			addr, err = p.Publish(ctx, claim.ID, n.ID)
		}
		if err != nil {
			return a.publicFailed(ctx, pub, publicMissing, err)
		}
	} else if claim.Identity.Public == addr {
		return 0, nil
	}
	err := a.asLeader(ctx, func(e *edit) error {
		now, rev, found, err := get[nic.Publication](e, publicKey(claim.ID))
		if err != nil || !found { // somebody has ended it by hand: the sweep finds the address
			return err
		}
		if now.NIC != n.ID || now.Addr != addr || now.Returned || len(now.Conditions) > 0 {
			now.NIC, now.Addr, now.Returned, now.Conditions, now.Asked = n.ID, addr, false, nil, a.now()
			e.update(publicKey(claim.ID), now, rev)
		}
		return a.tellPublic(e, claim.ID, addr)
	})
	if err == nil {
		a.opts.Log.Info("public address leads to NIC", "claim", claim.ID, "nic", n.ID, "addr", addr, "provider", pub.Provider)
	}
	return 0, err
}

// tellPublic notes at the claim, if it is there, what its public address is.
func (a *Allocator) tellPublic(e *edit, id nic.ClaimID, addr netip.Addr) error {
	claim, rev, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found || claim.Identity.Public == addr {
		return err
	}
	claim.Identity.Public = addr
	e.update(claimKey(id), claim, rev)
	return nil
}

// unpublish gives an address back, and ends its record. A young one may not show
// yet: that there is none is no proof then.
func (a *Allocator) unpublish(ctx context.Context, pub nic.Publication) (time.Duration, error) {
	p, err := a.publisher(pub.Provider)
	if err == nil {
		err = p.Unpublish(ctx, pub.Claim)
	}
	if err != nil {
		return a.publicFailed(ctx, pub, publicLeft, err)
	}
	hidden := p.info.VisibleAfter - a.since(pub.Asked)
	ended := false
	err = a.asLeader(ctx, func(e *edit) error {
		now, rev, found, err := get[nic.Publication](e, publicKey(pub.Claim))
		if ended = found && hidden <= 0; err != nil || !found {
			return err
		}
		if ended {
			e.delete(publicKey(pub.Claim), rev)
		} else if !now.Returned || len(now.Conditions) > 0 {
			now.NIC, now.Addr, now.Returned, now.Conditions = "", netip.Addr{}, true, nil
			e.update(publicKey(pub.Claim), now, rev)
		}
		return a.tellPublic(e, pub.Claim, netip.Addr{})
	})
	if err != nil {
		return 0, err
	}
	if ended {
		a.opts.Log.Info("public address given back", "claim", pub.Claim, "nic", pub.NIC, "addr", pub.Addr, "provider", pub.Provider)
		a.queue.Wake(claimKey(pub.Claim)) // where it lives on, it gets another
	}
	return max(0, hidden), nil
}
