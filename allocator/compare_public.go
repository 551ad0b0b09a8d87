package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// listPublic asks a provider for all public addresses that carry our tag; not one of
// which nobody wants any.
func (a *Allocator) listPublic(ctx context.Context, name string, r reading) (map[nic.ClaimID]netip.Addr, error) {
	wanted := false
	for _, n := range a.networks {
		wanted = wanted || n.Provider == name && n.Cloud.PublicIP
	}
	for _, pub := range r.public {
		wanted = wanted || pub.Provider == name
	}
	if !wanted {
		return nil, nil
	}
	p, err := a.publisher(name)
	if err != nil {
		return nil, err
	}
	return p.Published(ctx)
}

// publicAddresses compares the public addresses of the providers with the records,
// both ways, and these with the claims.
func (c *comparison) publicAddresses() {
	for _, name := range slices.Sorted(maps.Keys(c.providers)) {
		switch s := c.providers[name]; {
		case s.err != nil: // which is told already
		case s.publicErr != nil:
			c.add(finding{Finding: api.Finding{
				Kind: api.FindingProviderUnreachable, Provider: name, Message: fmt.Sprintf("nothing is concluded about its public addresses: %s", s.publicErr),
			}})
		case s.public != nil:
			c.publicAt(name, s.public)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.after.public)) {
		pub, was := c.after.public[id], c.before.public[id]
		if was.Claim == "" || pub.Returned || c.hadClaim(id) {
			continue
		}
		message := fmt.Sprintf("the claim is gone, and its public address %s is not given back, and costs money", addrText(pub.Addr))
		if len(pub.Conditions) > 0 {
			message = fmt.Sprintf("the claim is gone; public address %s: %s", addrText(pub.Addr), pub.Conditions[0].Message)
		}
		c.add(finding{Finding: api.Finding{Kind: api.FindingPublicLeft, Claim: id, Node: pub.Node, Provider: pub.Provider, Message: message}})
	}
}

// publicAt compares one provider's.
func (c *comparison) publicAt(name string, public map[nic.ClaimID]netip.Addr) {
	for _, id := range slices.SortedFunc(maps.Keys(public), cmp.Compare) {
		if c.after.public[id].Claim != "" || c.before.public[id].Claim != "" {
			continue
		}
		c.add(finding{does: adopt, addr: public[id], Finding: api.Finding{
			Kind: api.FindingPublicUnrecorded, Claim: id, Provider: name,
			Message: fmt.Sprintf("public address %s has the claim's tag and no record; it costs money as long as it is there", public[id]),
		}})
	}
	for _, id := range slices.Sorted(maps.Keys(c.after.public)) {
		pub, was := c.after.public[id], c.before.public[id]
		_, there := public[id]
		if pub.Provider != name || there || !pub.Addr.IsValid() || pub.Returned || was.Addr != pub.Addr {
			continue
		}
		c.add(finding{does: republish, addr: pub.Addr, Finding: api.Finding{
			Kind: api.FindingPublicNotAtProvider, Claim: id, NIC: pub.NIC, Node: pub.Node, Provider: name,
			Message: fmt.Sprintf("has public address %s by its record, and none at the provider: somebody has given it back", pub.Addr),
		}})
	}
}

// hadClaim says whether the claim is there, or was a moment ago.
func (c *comparison) hadClaim(id nic.ClaimID) bool {
	_, is := c.after.claims[id]
	_, was := c.before.claims[id]
	return is || was
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "(not known)"
	}
	return a.String()
}

// adoptPublic writes a record for a public address that has none. The life cycle
// does the rest, as for any other: it leads to the claim's NIC, or is given back.
func (a *Allocator) adoptPublic(ctx context.Context, f finding) error {
	now := a.now()
	err := a.asLeader(ctx, func(e *edit) error {
		_, _, found, err := get[nic.Publication](e, publicKey(f.Claim))
		if err != nil || found {
			return errors.Join(err, errMoved)
		}
		e.create(publicKey(f.Claim), nic.Publication{
			Schema: nic.Schema, Claim: f.Claim, Provider: f.Provider, Addr: f.addr, Asked: now, Created: now,
		})
		return nil
	})
	if err == nil {
		a.publishes.Store(true)
		a.wakePublic(f.Claim)
	}
	return err
}

// republish has the provider asked anew for a claim's public address.
func (a *Allocator) republish(ctx context.Context, f finding) error {
	err := a.asLeader(ctx, func(e *edit) error {
		pub, rev, found, err := get[nic.Publication](e, publicKey(f.Claim))
		if err != nil || !found || pub.Addr != f.addr {
			return errors.Join(err, errMoved)
		}
		pub.NIC, pub.Addr, pub.Asked = "", netip.Addr{}, a.now()
		e.update(publicKey(f.Claim), pub, rev)
		return a.tellPublic(e, f.Claim, netip.Addr{})
	})
	if err == nil {
		a.wakePublic(f.Claim)
	}
	return err
}
