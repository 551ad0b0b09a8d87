package allocator

import (
	"context"
	"encoding/json"
	"hash/maphash"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A beginning is what a controller that begins has to mend, found while it reads the
// records for the first time: each is read once, however many there are.
type beginning struct {
	a *Allocator
	// What has times that lie ahead, by key.
	nics, claims, nodes []string
	// layers are sums of what NICs have by the config of before, by sums of their ids:
	// there may be a million, and of two that met in one the last would be looked at for
	// nothing. given are the subnets of those whose provider names them.
	layers map[uint64]uint64
	given  map[nic.ID][]nic.Subnet
	seed   maphash.Seed
	// unlike are the claims that are not as the config has it now.
	unlike []nic.Claim
}

func newBeginning(a *Allocator) *beginning {
	return &beginning{a: a, layers: map[uint64]uint64{}, given: map[nic.ID][]nic.Subnet{}, seed: maphash.MakeSeed()}
}

// A looked record is one with what was found of it.
type looked[T any] struct {
	store.JSON[T]
	ahead, unlike bool
	layer         uint64
}

// nic reads a NIC's record. It may be called for several at a time.
func (l *beginning) nic(r store.Record) (found looked[nic.NIC], err error) {
	found.Key, found.Rev = r.Key, r.Rev
	if found.Value, err = store.DecodeJSON[nic.NIC](r); err != nil || l == nil {
		return found, err
	}
	found.ahead = ownClock && l.a.nicAhead(&found.Value)
	found.layer = l.sum(found.Value.Layer3)
	return found, nil
}

func (l *beginning) noteNIC(found looked[nic.NIC]) {
	if found.ahead {
		l.nics = append(l.nics, found.Key)
	}
	l.layers[maphash.String(l.seed, string(found.Value.ID))] = found.layer
	if given := found.Value.Seen.Subnets; len(given) > 0 {
		l.given[found.Value.ID] = given
	}
}

// claim reads a claim's record, once the NICs are known. It may be called for several at
// a time.
func (l *beginning) claim(r store.Record) (found looked[nic.Claim], err error) {
	found.Key, found.Rev = r.Key, r.Rev
	if found.Value, err = store.DecodeJSON[nic.Claim](r); err != nil || l == nil {
		return found, err
	}
	found.ahead = ownClock && l.a.claimAhead(&found.Value)
	c := found.Value
	found.unlike = l.a.spaceChanged(c) || l.a.unentitled(c) != "" || l.a.misfit(c) != "" || l.layerUnlike(c)
	return found, nil
}

func (l *beginning) noteClaim(found looked[nic.Claim]) {
	if found.ahead {
		l.claims = append(l.claims, found.Key)
	}
	if found.unlike {
		l.unlike = append(l.unlike, found.Value)
	}
}

// layerUnlike says whether a claim's NIC may have other addressing than by the present
// config.
func (l *beginning) layerUnlike(claim nic.Claim) bool {
	network, ok := l.a.networks[claim.Request.Network]
	if !ok || claim.NIC == "" {
		return false
	}
	had, known := l.layers[maphash.String(l.seed, string(claim.NIC))]
	return !known || had != l.sum(layer3(network, claim, l.given[claim.NIC]))
}

// sum is the same for what is written alike.
func (l *beginning) sum(of nic.Layer3) uint64 {
	text, err := json.Marshal(of)
	if err != nil { // our own types
		return 0
	}
	return maphash.Bytes(l.seed, text)
}

// mend does what was found, before the work begins.
func (l *beginning) mend(ctx context.Context) error {
	if err := l.bringBack(ctx); err != nil {
		return err
	}
	return l.a.applyConfig(ctx, l.unlike)
}

// bringBack ends times that lie ahead, once, before the work begins: they are of a
// controller that went by a wall clock which was set back before this start. By
// them a dead node would report, and a wait have no end, for as long as the step
// (F66). What they time begins anew instead.
func (l *beginning) bringBack(ctx context.Context) error {
	if err := mendTimes(ctx, l.a, l.nics, l.a.nicAhead); err != nil {
		return err
	}
	if err := mendTimes(ctx, l.a, l.claims, l.a.claimAhead); err != nil {
		return err
	}
	err := mendTimes(ctx, l.a, l.nodes, func(n *nic.Node) bool { return l.a.back(&n.LastSeen) })
	if err == nil && len(l.nics)+len(l.claims)+len(l.nodes) > 0 {
		l.a.opts.Log.Warn("times in records lay ahead and are now: the wall clock was set back before this start",
			"nics", len(l.nics), "claims", len(l.claims), "nodes", len(l.nodes))
	}
	return err
}

// restsNIC says whether there is nothing to do for a NIC, by its record alone.
func (a *Allocator) restsNIC(n nic.NIC) bool {
	_, known := a.opts.Providers[n.Provider]
	return known && isAtRest(n)
}

// isAtRest is restsNIC for one of a provider that is in the config.
func isAtRest(n nic.NIC) bool {
	return (n.Phase == nic.PhaseHeld || n.Phase == nic.PhaseSpare) && n.Carrier == "" && n.Next == "" && !n.Carries &&
		len(n.Conditions) == 0 && len(n.Astray) == 0
}

// restsClaim says whether there is nothing to do for a claim, by its record alone.
func restsClaim(c nic.Claim) bool {
	return (c.Phase == nic.ClaimReady || c.Phase == nic.ClaimBound) && c.NIC != "" && !onMove(c) && c.StoppedAt.IsZero() &&
		!c.Request.Unstarted && len(c.Conditions) == 0
}
