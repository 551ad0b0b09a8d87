package allocator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// formerDeadline is how long a container waits for the NIC of the last one of
// its name to be given back. Then it gets another identity.
const formerDeadline = 30 * time.Second

// restUnknown is the cool-down where the network is not in the config any more.
const restUnknown = 30 * time.Second

// former returns what the last container of the claim's name had in the
// network, or the wait for it to be let go.
func (a *Allocator) former(e *edit, claim nic.Claim, network nic.Network) (nic.Identity, *nic.Condition, error) {
	key := a.ownerName(claim)
	if key == "" {
		return nic.Identity{}, nil, nil
	}
	k, _, found, err := get[nic.Kept](e, key)
	if err != nil || !found || k.Network != network.Name || k.Claim == claim.ID {
		return nic.Identity{}, nil, err
	}
	if k.Claim == "" {
		if k.Identity.Space != network.Space || !a.now().Before(k.Until) {
			return nic.Identity{}, nil, nil
		}
		return k.Identity, nil, nil
	}
	last, _, found, err := get[nic.Claim](e, claimKey(k.Claim))
	asked := len(claim.Request.Addrs) > 0 || !claim.Request.MAC.IsZero()
	if err != nil || !found || asked || last.Container != claim.Container {
		return nic.Identity{}, nil, err
	}
	end := claim.Created.Add(formerDeadline)
	if !a.now().Before(end) {
		return nic.Identity{}, nil, nil
	}
	wait := a.because(nic.ReasonWaitingForFormer,
		"the last container %q is still giving back its NIC and with it the address and MAC (claim %s)", claim.Container, last.ID)
	wait.Deadline = end
	return nic.Identity{}, wait, nil
}

// ownerName is what the claim's reservations are kept under; "" if they are
// not.
func (a *Allocator) ownerName(claim nic.Claim) string {
	if a.networks[claim.Request.Network].Keep <= 0 {
		return ""
	}
	return keptKey(claim.Owner, claim.Container)
}

// reservation is the record under each address and MAC of a claim.
func (a *Allocator) reservation(claim nic.Claim) nic.Reservation {
	return nic.Reservation{Schema: nic.Schema, Claim: claim.ID, Owner: a.ownerName(claim), Network: claim.Request.Network}
}

// keepFor notes that the claim has what its container's name is to have.
func (a *Allocator) keepFor(e *edit, claim nic.Claim) error {
	key := a.ownerName(claim)
	if key == "" || !hasIdentity(&claim) {
		return nil
	}
	k, rev, found, err := get[nic.Kept](e, key)
	if err != nil || found && k.Claim == claim.ID {
		return err
	}
	e.update(key, nic.Kept{Schema: nic.Schema, Network: claim.Request.Network, Claim: claim.ID}, rev)
	return nil
}

// unkeep ends what keepFor noted, for a container that is called otherwise now.
func (a *Allocator) unkeep(e *edit, claim nic.Claim) error {
	key := a.ownerName(claim)
	if key == "" {
		return nil
	}
	k, rev, found, err := get[nic.Kept](e, key)
	if err != nil || !found || k.Claim != claim.ID {
		return err
	}
	e.delete(key, rev)
	return nil
}

// letGo ends the claim's hold on what it has reserved: it cools down, and is
// kept for the next container of the name.
func (a *Allocator) letGo(e *edit, claim nic.Claim) error {
	node, _, found, err := get[nic.Node](e, nodeKey(claim.Owner.Node))
	if err != nil {
		return err
	}
	comes := found && node.Phase != nic.NodeLost // of a node that is forgotten, no name comes again
	keys := reservedKeys(claim.Identity)
	r, keep := a.resting(claim)
	if !comes {
		r.Owner, r.Until = "", r.Free
	}
	for _, key := range keys {
		if err := letGoOne(e, claim, key, r); err != nil {
			return err
		}
	}
	name := a.ownerName(claim)
	if name == "" {
		return nil
	}
	k, rev, found, err := get[nic.Kept](e, name)
	if err != nil || !found || k.Claim != claim.ID {
		return err
	}
	if !comes {
		e.delete(name, rev)
		return nil
	}
	e.update(name, nic.Kept{
		Schema: nic.Schema, Network: claim.Request.Network, Identity: claim.Identity, Until: a.now().Add(keep),
	}, rev)
	return nil
}

// letGoOne ends one reservation, if it is the claim's. A MAC that the provider
// drew is in the identity and was never reserved: the record under its key may
// be another claim's.
func letGoOne(e *edit, claim nic.Claim, key string, after nic.Reservation) error {
	r, rev, found, err := get[nic.Reservation](e, key)
	switch {
	case err != nil || !found || r.Claim != claim.ID:
		return err
	case after.Until.IsZero():
		e.delete(key, rev)
	default:
		e.update(key, after, rev)
	}
	return nil
}

// resting is what a reservation of the claim becomes when it is let go, with
// Until zero if nothing is to be left of it; and how long it is kept.
func (a *Allocator) resting(claim nic.Claim) (nic.Reservation, time.Duration) {
	cool, keep := restUnknown, time.Duration(0)
	if network, ok := a.networks[claim.Request.Network]; ok {
		cool, keep = network.Cooldown.D(), network.Keep.D()
	}
	r := a.reservation(claim)
	r.Claim = ""
	if cool == 0 && (keep == 0 || r.Owner == "") {
		return r, keep
	}
	now := a.now()
	r.Free, r.Until = now.Add(cool), now.Add(cool)
	if r.Owner != "" {
		r.Until = now.Add(max(cool, keep))
	}
	return r, keep
}

// reservedKeys are the reservations of an identity.
func reservedKeys(id nic.Identity) []string {
	var keys []string
	if !id.MAC.IsZero() {
		keys = append(keys, macKey(id.MAC))
	}
	for _, p := range id.Addrs {
		keys = append(keys, addrKey(id.Space, p.Addr()))
	}
	return keys
}

// await leaves the claim without a NIC, with that one wait.
func (k clock) await(claim *nic.Claim, c nic.Condition) {
	k.refuse(claim, c)
	k.setClaimPhase(claim, nic.ClaimPending)
}

// awaitsFormer says whether the claim waits for the last container of its name.
func awaitsFormer(claim nic.Claim) bool {
	return claim.Phase == nic.ClaimPending && claim.NIC == "" &&
		slices.ContainsFunc(claim.Conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonWaitingForFormer })
}

// endsBySelf is how long what keeps a claim from its NIC lasts at most, and
// whether it has an end at all.
func (k clock) endsBySelf(claim nic.Claim) (time.Duration, bool) {
	for _, c := range claim.Conditions {
		if !c.Deadline.IsZero() {
			return max(0, k.until(c.Deadline)), true
		}
	}
	return 0, false
}

// forgetKey is the queue's key for forgetting reservations and identities whose
// time is over. It is no record's.
const forgetKey = "forget"

// forgetTogetherMax is how many of them one commit forgets.
const forgetTogetherMax = 100

// forgetDue forgets what is over, and says when to look again.
func (a *Allocator) forgetDue(ctx context.Context) (time.Duration, error) {
	keys, again := a.taken.due(a.now())
	for batch := range slices.Chunk(keys, forgetTogetherMax) {
		err := a.asLeader(ctx, func(e *edit) error {
			for _, key := range batch {
				r, rev, found, err := get[nic.Reservation](e, key) // of a nic.Kept it has what counts here
				if err != nil {
					return err
				}
				if found && !r.Held() && !a.now().Before(r.Until) {
					e.delete(key, rev)
				}
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("forget reservations that are over: %w", err)
		}
	}
	return again, nil
}

// remember reads who has which address, and sees every change from then on.
func (a *Allocator) remember(ctx context.Context) error {
	if err := a.taken.follow(ctx, a.opts.Store); err != nil {
		return fmt.Errorf("read what is reserved: %w", err)
	}
	for _, prefix := range []string{nicPrefix, observedPrefix} {
		records, _, err := a.opts.Store.List(ctx, prefix, "", 0)
		if err != nil {
			return fmt.Errorf("read which addresses were seen: %w", err)
		}
		for _, r := range records {
			a.recorded.see(r.Key, r, false)
		}
	}
	return nil
}

// seeAddresses notes changed records, before anybody is woken by them.
func (a *Allocator) seeAddresses(events []store.Event) {
	for _, e := range events {
		a.recorded.see(e.Key, e.Record, e.Gone)
	}
	if a.taken.see(events) {
		a.queue.Wake(forgetKey)
	}
}
