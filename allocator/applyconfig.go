package allocator

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nicferry/nicferry/nic"
)

// applyConfig holds claims that are not as the config has it against the config that the
// allocator was started with. What fits is brought up to date; what does not fit keeps
// what it has (P4), and is told: here in the log, and as a condition wherever
// the claim is shown.
func (a *Allocator) applyConfig(ctx context.Context, claims []nic.Claim) error {
	told := map[string]bool{}
	count := map[string]int{}
	for _, claim := range claims {
		if a.spaceChanged(claim) {
			if err := a.asLeader(ctx, func(e *edit) error { return a.changeSpace(e, claim.ID) }); err != nil {
				return fmt.Errorf("take claim %s into its network's new space: %w", claim.ID, err)
			}
			var err error
			if claim, _, _, err = get[nic.Claim](a.reader(ctx), claimKey(claim.ID)); err != nil {
				return err
			}
		}
		if why := a.unentitled(claim); why != "" {
			a.opts.Log.Warn("config takes from a tenant what its container has, and keeps", "audit", true, "claim", claim.ID,
				"tenant", nic.TenantOf(claim.Tenant), "node", claim.Owner.Node, "network", claim.Request.Network, "message", why)
		}
		if a.misfit(claim) != "" {
			count[claim.Request.Network]++
			continue
		}
		if err := a.renewLayer3(ctx, claim); err != nil {
			return err
		}
	}
	for _, claim := range claims {
		if name := claim.Request.Network; count[name] > 0 && !told[name] {
			told[name] = true
			a.opts.Log.Warn("config does not fit what containers have, which they keep", "network", name, "claims", count[name],
				"first", claim.ID, "message", a.misfit(claim))
		}
	}
	return nil
}

func (a *Allocator) spaceChanged(claim nic.Claim) bool {
	network, ok := a.networks[claim.Request.Network]
	return ok && len(claim.Identity.Addrs) > 0 && claim.Identity.Space != network.Space
}

// changeSpace reserves a claim's addresses in the space that its network is in
// now, if all of them are free there. Otherwise all stay where they are.
func (a *Allocator) changeSpace(e *edit, id nic.ClaimID) error {
	claim, rev, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found || !a.spaceChanged(claim) {
		return err
	}
	space := a.networks[claim.Request.Network].Space
	if !claim.Identity.Given {
		for _, p := range claim.Identity.Addrs {
			r, at, found, err := get[nic.Reservation](e, addrKey(space, p.Addr()))
			if err != nil {
				return err
			}
			if found && !r.OpenTo("", a.now()) {
				e.ops = nil
				return nil
			}
			e.put(addrKey(space, p.Addr()), a.reservation(claim), at)
			if err := letGoOne(e, claim, addrKey(claim.Identity.Space, p.Addr()), nic.Reservation{}); err != nil {
				return err
			}
		}
	}
	claim.Identity.Space = space
	e.update(claimKey(id), claim, rev)
	return nil
}

// renewLayer3 stores the addressing that a claim's NIC has by the present
// config, for the day when the config does not have it any more.
func (a *Allocator) renewLayer3(ctx context.Context, claim nic.Claim) error {
	network, ok := a.networks[claim.Request.Network]
	if !ok || claim.NIC == "" {
		return nil
	}
	n, _, found, err := get[nic.NIC](a.reader(ctx), nicKey(claim.NIC))
	if err != nil || !found {
		return err
	}
	now := layer3(network, claim, n.Seen.Subnets)
	if sameJSON(n.Layer3, now) {
		return nil
	}
	return a.change(ctx, claim.NIC, func(n *nic.NIC) bool { n.Layer3 = now; return true })
}

// sameJSON says whether two records are written alike.
func sameJSON(a, b nic.Layer3) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
