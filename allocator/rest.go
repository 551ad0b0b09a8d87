package allocator

import (
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// restUnknown is the cool-down where the network is not in the config any more.
const restUnknown = 30 * time.Second

// reservation is the record under each address and MAC of a claim.
func (a *Allocator) reservation(claim nic.Claim) nic.Reservation {
	return nic.Reservation{Schema: nic.Schema, Claim: claim.ID, Owner: a.ownerName(claim), Network: claim.Request.Network, Tenant: claim.Tenant}
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
	id := claim.Identity
	id.Public = netip.Addr{} // it is given back
	e.update(name, nic.Kept{
		Schema: nic.Schema, Network: claim.Request.Network, Tenant: claim.Tenant, Identity: id, Until: a.now().Add(keep),
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
