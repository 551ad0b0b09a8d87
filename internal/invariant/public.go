package invariant

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// public finds public addresses with two owners (P1), those that nobody knows of and
// those that a claim says it has and has not (P2).
func (c *check) public() {
	of := map[netip.Addr][]nic.ClaimID{}
	for _, p := range c.Records.Public {
		if p.Addr.IsValid() {
			of[p.Addr] = append(of[p.Addr], p.Claim)
		}
		c.words(string(p.Claim), p.Conditions)
	}
	for addr, claims := range of {
		if len(claims) > 1 {
			c.add(P1, ids(claims...), "all have public address %s", addr)
		}
	}
	for _, claim := range c.Records.Claims {
		if has := c.now.public[claim.ID].Addr; claim.Identity.Public.IsValid() && claim.Identity.Public != has {
			c.add(P2, ids(claim.ID), "has public address %s, and %s by the record of that", claim.Identity.Public, has)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		public := c.Providers[name].Public
		for _, id := range slices.Sorted(maps.Keys(public)) {
			_, is := c.now.public[id]
			_, was := c.before.public[id]
			if !is && !was {
				c.add(P2, ids(id), "has public address %s at provider %s and no record of that", public[id], name)
			}
		}
		for _, p := range c.Records.Public {
			was := c.before.public[p.Claim]
			if public != nil && p.Provider == name && p.Addr.IsValid() && was.Addr == p.Addr && public[p.Claim] != p.Addr && !p.Returned && c.claimStays(p.Claim) {
				c.add(P2, ids(p.Claim), "has public address %s by its record, and %s at provider %s", p.Addr, public[p.Claim], name)
			}
		}
	}
}

// claimStays says whether the claim is there and is not being released: otherwise
// its address may be on its way back.
func (c *check) claimStays(id nic.ClaimID) bool {
	claim, ok := c.now.claims[id]
	return ok && claim.Phase != nic.ClaimReleasing
}
