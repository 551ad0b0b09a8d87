package allocator

import (
	"context"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// noneElseHas is an error if, by the records, the address of a seat that was turned is
// on another NIC than the two that the seat has a place on: it was free when the one
// was gone, and another was made with it. A provider is asked to take an address from
// a NIC by what it shows, which may be of before that. The address is to be on NIC to.
func (a *Allocator) noneElseHas(ctx context.Context, n, to nic.NIC) error {
	all, _, err := store.ListJSON[nic.NIC](ctx, a.opts.Store, nicPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list NICs: %w", err)
	}
	for _, r := range all {
		other := r.Value
		if other.Carrier != "" || other.ID == n.Carrier || other.ID == n.Next ||
			other.Provider != n.Provider || other.Spec.Cloud.Subnet != to.Spec.Cloud.Subnet {
			continue
		}
		for _, addr := range n.Seen.Addrs {
			if slices.Contains(other.Seen.Addrs, addr) {
				return &provider.Error{Kind: provider.ErrElsewhere, Scope: provider.ScopeAddress, Err: fmt.Errorf(
					"NIC %s has %s by now, and may be using it: it is not taken from there", other.ID, addr)}
			}
		}
	}
	return nil
}
