package allocator

import (
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// claimsOn are the claims of a node's containers, without those to leave out.
func claimsOn(e *edit, node string, out map[nic.ClaimID]bool) ([]store.JSON[nic.Claim], error) {
	owners, _, err := store.ListJSON[nic.ClaimID](e.ctx, e.store, ownerPrefix(node), "", 0)
	if err != nil {
		return nil, err
	}
	var claims []store.JSON[nic.Claim]
	for _, o := range owners {
		if out[o.Value] {
			continue
		}
		claim, rev, found, err := get[nic.Claim](e, claimKey(o.Value))
		if err != nil {
			return nil, err
		}
		if found { // otherwise it has been released meanwhile
			claims = append(claims, store.JSON[nic.Claim]{Key: claimKey(claim.ID), Value: claim, Rev: rev})
		}
	}
	return claims, nil
}

// idsOn are the NICs of a node.
func idsOn(e *edit, node string) ([]nic.ID, error) {
	all, _, err := store.ListJSON[nic.ID](e.ctx, e.store, onPrefix(node), "", 0)
	ids := make([]nic.ID, len(all))
	for i, id := range all {
		ids[i] = id.Value
	}
	return ids, err
}
