package allocator

import (
	"context"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// FormerVFs are the NICs with VFs that other providers than this one have given out, by
// provider. One of another name has a ledger of its own, and would give those VFs out
// again as soon as their nodes call them free.
func FormerVFs(ctx context.Context, s store.Store, providerName string) (map[string][]nic.ID, error) {
	nics, _, err := store.ListJSON[nic.NIC](ctx, s, nicPrefix, "", 0)
	if err != nil {
		return nil, err
	}
	former := map[string][]nic.ID{}
	for _, r := range nics {
		if n := r.Value; n.Spec.Device.Kind.Functions() && n.Provider != providerName {
			former[n.Provider] = append(former[n.Provider], n.ID)
		}
	}
	return former, nil
}
