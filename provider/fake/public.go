package fake

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The ops of public addresses.
const (
	OpPublish   = "publish"
	OpUnpublish = "unpublish"
	OpPublished = "published"
)

// A Public is a claim's public address, and the NIC that it leads to; empty for
// none.
type Public struct {
	Addr netip.Addr
	NIC  nic.ID
}

// firstPublic is the address before the first that is given.
var firstPublic = netip.MustParseAddr("203.0.113.0")

// Publish implements provider.Publisher. As at a cloud, an address is made before
// it leads anywhere, and stays the claim's when it cannot.
func (p *Provider) Publish(ctx context.Context, claim nic.ClaimID, id nic.ID) (addr netip.Addr, err error) {
	err = p.call(ctx, Call{Op: OpPublish, ID: id}, func(now time.Time) (effect bool, err error) {
		if r := p.find(id, now); r == nil || now.Before(r.visible) {
			return false, notFound()
		}
		if _, err := nic.ParseClaimID(string(claim)); err != nil {
			return false, invalid("%v", err)
		}
		own, has := p.public[claim]
		if !has {
			if p.opts.PublicQuota > 0 && len(p.public) >= p.opts.PublicQuota {
				return false, exhausted(provider.ScopeAccount, "%d of %d public addresses exist", len(p.public), p.opts.PublicQuota)
			}
			own = Public{Addr: p.nextPublic()}
			p.public[claim] = own
		}
		for other, e := range p.public {
			if e.NIC == id && other != claim {
				return !has, &provider.Error{Kind: provider.ErrElsewhere, Scope: provider.ScopeAddress, Err: fmt.Errorf("%s leads to the NIC", e.Addr)}
			}
		}
		effect = !has || own.NIC != id
		own.NIC = id
		p.public[claim], addr = own, own.Addr
		return effect, nil
	})
	return addr, err
}

// nextPublic is one that has never been there, so that a lost one shows.
func (p *Provider) nextPublic() netip.Addr {
	p.lastPublic = p.lastPublic.Next()
	return p.lastPublic
}

// Unpublish implements provider.Publisher.
func (p *Provider) Unpublish(ctx context.Context, claim nic.ClaimID) error {
	return p.call(ctx, Call{Op: OpUnpublish}, func(time.Time) (effect bool, err error) {
		if _, err := nic.ParseClaimID(string(claim)); err != nil {
			return false, invalid("%v", err)
		}
		_, has := p.public[claim]
		delete(p.public, claim)
		return has, nil
	})
}

// Published implements provider.Publisher.
func (p *Provider) Published(ctx context.Context) (all map[nic.ClaimID]netip.Addr, err error) {
	err = p.call(ctx, Call{Op: OpPublished}, func(time.Time) (bool, error) {
		all = map[nic.ClaimID]netip.Addr{}
		for claim, e := range p.public {
			all[claim] = e.Addr
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Public returns all public addresses as they are now, and where they lead. It takes
// no time, strikes no fault and is not in the log.
func (p *Provider) Public() map[nic.ClaimID]Public {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, e := range p.public {
		p.find(e.NIC, now)
	}
	return maps.Clone(p.public)
}

// unlead has no address lead to a NIC that is gone.
func (p *Provider) unlead(id nic.ID) {
	for claim, e := range p.public {
		if e.NIC == id {
			e.NIC = ""
			p.public[claim] = e
		}
	}
}

// SetPublicQuota changes how many public addresses there can be; 0 is any number.
func (p *Provider) SetPublicQuota(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opts.PublicQuota = n
}

// LosePublic takes a claim's public address away, as somebody does by hand.
func (p *Provider) LosePublic(claim nic.ClaimID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.public, claim)
}

// PlantPublic makes a public address with the claim's tag that leads nowhere, as a
// lost controller leaves one.
func (p *Provider) PlantPublic(claim nic.ClaimID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.public[claim] = Public{Addr: p.nextPublic()}
}

var _ provider.Publisher = (*Provider)(nil)
