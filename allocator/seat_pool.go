package allocator

import (
	"context"
	"fmt"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// spareCarrier takes a NIC for the claim's seat that its node has in reserve, if one
// fits: it has its addresses since it was made, so nothing is asked of the provider.
// The NIC is of the claim's tenant from then on.
func (a *Allocator) spareCarrier(e *edit, claim *nic.Claim, network nic.Network, node nic.Node) (c carrier, found bool, err error) {
	it, ok, err := a.spareFor(e, *claim, network, node.Name, nic.MAC{})
	if err != nil || !ok {
		return carrier{}, false, err
	}
	if c, found, err = readCarrier(e, it.ID); err != nil {
		return carrier{}, false, err
	}
	if !found || !c.Carries || c.Seats > 0 || stateOf(c.NIC) != it.State {
		return carrier{}, false, fmt.Errorf("spare NIC %s: %w", it.ID, store.ErrConflict)
	}
	if c.Phase == nic.PhaseSpare {
		if len(c.open) == 0 { // the last ones' addresses cool down
			return carrier{}, false, nil
		}
		a.setPhase(&c.NIC, nic.PhaseCarrying)
	}
	c.Tenant = claim.Tenant
	return c, true, nil
}

// hasSpareCarrier says whether there is one for the claim.
func (a *Allocator) hasSpareCarrier(e *edit, claim nic.Claim, network nic.Network, node nic.Node) bool {
	_, found, err := a.spareCarrier(e, &claim, network, node)
	return found && err == nil
}

// emptied sends a NIC home, or into its network's pool, after its last seat. Nobody
// need say that it is clean: each seat's end was its node's word.
func (a *Allocator) emptied(e *edit, c *nic.NIC) {
	c.Seats = 0
	keep := a.networks[c.Network].Pool.Max > 0 && c.Phase == nic.PhaseCarrying && c.Seen.State == nic.StateAttached && !c.Closed
	if e.homeward(c) && keep {
		c.Clean, c.Reuse = true, true
	}
}

// hasSeat says whether the claim would get a seat without a further slot.
func (a *Allocator) hasSeat(ctx context.Context, claim nic.Claim) bool {
	network, ok := a.networks[claim.Request.Network]
	if !ok || !network.Cloud.Shared {
		return false
	}
	e := a.reader(ctx)
	node, _, known, err := get[nic.Node](e, nodeKey(claim.Owner.Node))
	if err != nil || !known {
		return false
	}
	_, found, _, _, err := a.openCarrier(e, network, node, claim.Tenant)
	return err == nil && (found || a.hasSpareCarrier(e, claim, network, node))
}
