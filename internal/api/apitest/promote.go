package apitest

import (
	"context"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// FallsAgain is the container whose claim gets what it had when it is promoted, as
// where another was faster.
const FallsAgain = "again"

// Promote gives a claim whose condition says that it fell back another NIC. It plans
// that for any.
func (b *Backend) Promote(_ context.Context, id nic.ClaimID, dryRun bool) (api.Promotion, error) {
	leave, err := b.enter("Promote")
	defer leave()
	if err != nil {
		return api.Promotion{}, err
	}
	c, ok := b.claims[id]
	if !ok {
		return api.Promotion{}, missing("claim", string(id))
	}
	if !dryRun && !slices.ContainsFunc(c.Conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonFellBack }) {
		return api.Promotion{}, &api.Error{Code: api.CodeRefused, Message: "claim " + string(id) + " has a VF already"}
	}
	plan := api.Promotion{
		Claim: id, Container: c.Container, Node: c.Owner.Node, Network: c.Request.Network, NIC: c.NIC,
		Has: "a macvlan on ens1f0", Gets: "a VF", Identity: c.Identity, CutsOff: true,
	}
	if !dryRun {
		c.NIC = nic.NewID()
		if c.Container != FallsAgain {
			c.Conditions = nil
		}
		b.claims[id] = c
		b.commit()
	}
	return plan, nil
}
