package invariant

import (
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// owners finds MACs and addresses with two owners (P1).
func (c *check) owners() {
	macs, addrs := map[nic.MAC][]nic.ClaimID{}, map[string][]nic.ClaimID{}
	for _, claim := range c.Records.Claims {
		if mac := claim.Identity.MAC; !mac.IsZero() {
			macs[mac] = append(macs[mac], claim.ID)
		}
		for _, p := range claim.Identity.Addrs {
			key := claim.Identity.Space + "/" + p.Addr().String()
			addrs[key] = append(addrs[key], claim.ID)
		}
	}
	for mac, of := range macs {
		if len(of) > 1 {
			c.add(P1, ids(of...), "all have MAC %s", mac)
		}
	}
	for addr, of := range addrs {
		if len(of) > 1 {
			c.add(P1, ids(of...), "all have address %s", addr)
		}
	}
	cards := map[nic.MAC][]nic.ID{}
	for _, n := range c.Records.NICs {
		if mac := macOf(n); !mac.IsZero() && n.Carrier == "" { // a seat has that of what it is on
			cards[mac] = append(cards[mac], n.ID)
		}
	}
	for mac, of := range cards {
		if len(of) > 1 {
			c.add(P1, ids(of...), "are recorded with the same MAC %s", mac)
		}
	}
}

// macOf is a NIC's MAC, asked for or seen.
func macOf(n nic.NIC) nic.MAC {
	if !n.Seen.MAC.IsZero() {
		return n.Seen.MAC
	}
	if n.Carrier != "" && n.Seen.Device.Kind == nic.Found { // it has what it is on to itself
		return n.Seen.Device.MAC
	}
	return n.Spec.MAC
}

// reservations finds identities that are not reserved, and reservations that
// are nobody's (P1): the first could be given to another, the second to none.
func (c *check) reservations() {
	if c.Records.Owners == nil {
		return
	}
	for _, claim := range c.Records.Claims {
		if got := c.Records.Owners[claim.Owner.Key()]; got != string(claim.ID) {
			c.add(P1, ids(claim.ID), "is not the claim of its owner %s: that is %q", claim.Owner.Key(), got)
		}
		for _, p := range claim.Identity.Addrs {
			key := claim.Identity.Space + "/" + p.Addr().String()
			if claim.Identity.Given { // recorded, and never reserved
				break
			}
			if got := c.Records.Addrs[key]; got != string(claim.ID) && got != string(claim.NIC) {
				c.add(P1, ids(claim.ID), "has address %s, which is reserved for %q", key, got)
			}
		}
		if mac := claim.Identity.MAC; !mac.IsZero() && c.reserves(claim) {
			if got := c.Records.MACs[mac.String()]; got != string(claim.ID) && got != string(claim.NIC) {
				c.add(P1, ids(claim.ID), "has MAC %s, which is reserved for %q", mac, got)
			}
		}
	}
	for _, n := range c.Records.NICs {
		if mac := n.Spec.MAC; inReserve(n) && !mac.IsZero() && c.Records.MACs[mac.String()] != string(n.ID) {
			c.add(P1, ids(n.ID), "is in reserve with MAC %s, which is reserved for %q", mac, c.Records.MACs[mac.String()])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Records.Owners)) {
		id := c.Records.Owners[key]
		if claim, ok := c.now.claims[nic.ClaimID(id)]; !ok || claim.Owner.Key() != key && !aimedAt(claim, key) {
			c.add(P1, []string{id}, "is indexed as the claim of %s and is not", key)
		}
	}
	c.nobodys("MAC", c.Records.MACs, func(claim nic.Claim, key string) bool { return claim.Identity.MAC.String() == key })
	c.nobodys("address", c.Records.Addrs, func(claim nic.Claim, key string) bool {
		for _, p := range claim.Identity.Addrs {
			if claim.Identity.Space+"/"+p.Addr().String() == key {
				return true
			}
		}
		return false
	})
}

// aimedAt says whether the key is that of the container that the claim moves to.
func aimedAt(claim nic.Claim, key string) bool {
	return claim.Move != nil && claim.Move.To.Sandbox != "" && claim.Move.To.Key() == key
}

// inReserve says whether the NIC is kept for whoever comes, or made for that.
func inReserve(n nic.NIC) bool {
	return n.Holder == "" && slices.Contains([]nic.Phase{nic.PhasePlanned, nic.PhaseSpare, nic.PhaseCooling}, n.Phase)
}

// reserves says whether the claim's MAC was the allocator's to give.
func (c *check) reserves(claim nic.Claim) bool {
	n, ok := c.now.nics[claim.NIC]
	if !ok {
		return false
	}
	p, looked := c.Providers[n.Provider]
	return looked && !p.DrawsMACs
}

func (c *check) nobodys(what string, reserved map[string]string, has func(nic.Claim, string) bool) {
	for _, key := range slices.Sorted(maps.Keys(reserved)) {
		id := reserved[key]
		if _, isNIC := c.now.nics[nic.ID(id)]; isNIC {
			continue
		}
		claim, ok := c.now.claims[nic.ClaimID(id)]
		if strings.HasPrefix(id, "clm-") && (!ok || !has(claim, key)) {
			c.add(P1, []string{id}, "%s %s is reserved for it, and it has it not", what, key)
		}
	}
}
