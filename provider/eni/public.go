package eni

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Publish implements provider.Publisher by a public address with the claim's tag. Not
// every cloud knows a token for them: after a lost reply there may be two, of which
// the one that leads somewhere is the claim's, and the other is given back once it
// is seen; that it cannot be is no failure of what is asked.
func (p *Provider) Publish(ctx context.Context, claim nic.ClaimID, id nic.ID) (netip.Addr, error) {
	fail := p.failing("publish", id)
	f, err := p.have(ctx, id)
	if err != nil {
		return netip.Addr{}, fail(err)
	}
	all, err := p.public(ctx, claim)
	if err != nil {
		return netip.Addr{}, fail(err)
	}
	var e PublicAddr
	if len(all) > 0 {
		e = all[0]
	} else if e, err = p.allocate(ctx, claim); err != nil {
		return netip.Addr{}, fail(err)
	}
	if err := p.lead(ctx, e, f); err != nil {
		return netip.Addr{}, fail(p.perhapsYoung(id, err))
	}
	for _, twin := range all[min(1, len(all)):] {
		if err := p.giveBack(ctx, twin); err != nil { // the claim has what it asked for all the same
			p.opts.Log.Warn("claim has another public address, which leads nowhere: tried again with the next move or the end of the claim",
				"claim", claim, "address", twin.Addr, "err", p.failing("publish", id)(err))
		}
	}
	if !e.Addr.IsValid() {
		return netip.Addr{}, fail(provider.NoAnswer(fmt.Errorf("%s does not say which address %s is", p.traits.API, e.ID)))
	}
	return e.Addr, nil
}

func (p *Provider) allocate(ctx context.Context, claim nic.ClaimID) (PublicAddr, error) {
	return p.cloud.Allocate(ctx, claim, map[string]string{TagClaim: string(claim), TagCluster: p.opts.Cluster})
}

// lead has a public address lead to the interface. What it led to before was the
// same claim's; the cloud may not take it from there by itself, in case it was not.
func (p *Provider) lead(ctx context.Context, e PublicAddr, f Interface) error {
	if e.Interface == f.ID {
		return nil
	}
	if err := p.unlead(ctx, e); err != nil {
		return err
	}
	return p.cloud.Lead(ctx, e, f)
}

func (p *Provider) unlead(ctx context.Context, e PublicAddr) error {
	if e.Association == "" {
		return nil
	}
	if err := p.cloud.Unlead(ctx, e); !errors.Is(err, provider.ErrNotFound) {
		return err
	}
	return nil
}

// Unpublish implements provider.Publisher.
func (p *Provider) Unpublish(ctx context.Context, claim nic.ClaimID) error {
	fail := p.failing("unpublish", "")
	all, err := p.public(ctx, claim)
	if err != nil {
		return fail(err)
	}
	for _, e := range all {
		if err := p.giveBack(ctx, e); err != nil {
			return fail(err)
		}
	}
	return nil
}

// giveBack has a public address lead nowhere, and be the account's no more.
func (p *Provider) giveBack(ctx context.Context, e PublicAddr) error {
	if err := p.unlead(ctx, e); err != nil {
		return err
	}
	if err := p.cloud.Release(ctx, e); !errors.Is(err, provider.ErrNotFound) {
		return err
	}
	return nil
}

// Published implements provider.Publisher.
func (p *Provider) Published(ctx context.Context) (map[nic.ClaimID]netip.Addr, error) {
	all, err := p.public(ctx, "")
	if err != nil {
		return nil, p.failing("published", "")(err)
	}
	claims := map[nic.ClaimID]netip.Addr{}
	for _, e := range all {
		if _, twice := claims[e.Claim]; e.Addr.IsValid() && e.Claim != "" && !twice {
			claims[e.Claim] = e.Addr
		}
	}
	return claims, nil
}

// public are this cluster's public addresses, of one claim or of all: those that lead
// somewhere first, and then by id.
func (p *Provider) public(ctx context.Context, claim nic.ClaimID) ([]PublicAddr, error) {
	if claim != "" {
		if _, err := nic.ParseClaimID(string(claim)); err != nil {
			return nil, provider.Errorf(provider.ErrInvalid, "%s", err)
		}
	}
	all, err := p.cloud.PublicAddrs(ctx, claim)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b PublicAddr) int {
		if idle := a.Association == ""; idle != (b.Association == "") {
			if idle {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return all, nil
}
