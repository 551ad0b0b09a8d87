package allocator

import (
	"context"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// FormerVFs are the NICs with VFs that other providers than this one have given out, and
// those with links on cards instead, by provider. One of another name has a ledger of its
// own: it would give those VFs out again as soon as their nodes call them free, and know
// nothing of what the cards carry. Of macvlans ofVFs tells by their provider's ledger
// whether it gave them in place of VFs.
func FormerVFs(ctx context.Context, s store.Store, providerName string, ofVFs func(context.Context, provider.Ledger) (bool, error)) (map[string][]nic.ID, error) {
	nics, _, err := store.ListJSON[nic.NIC](ctx, s, nicPrefix, "", 0)
	if err != nil {
		return nil, err
	}
	former, gives := map[string][]nic.ID{}, map[string]bool{providerName: false}
	for _, r := range nics {
		n, d := r.Value, r.Value.Spec.Device
		if n.Provider == providerName || !d.Kind.Functions() && d.Parent == "" {
			continue
		}
		if _, known := gives[n.Provider]; !known {
			if gives[n.Provider], err = ofVFs(ctx, NewLedger(s, n.Provider)); err != nil {
				return nil, err
			}
		}
		if d.Kind.Functions() || gives[n.Provider] {
			former[n.Provider] = append(former[n.Provider], n.ID)
		}
	}
	return former, nil
}
