package main

import (
	"fmt"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/local"
)

// openProviders makes each configured provider. This is the one place that
// knows all kinds.
func openProviders(configured []conf.Provider, records store.Store) (map[string]provider.Provider, error) {
	providers := map[string]provider.Provider{}
	for _, c := range configured {
		switch c.Kind {
		case conf.KindLocal:
			p, err := local.New(local.Options{
				Name:        c.Name,
				NICsPerNode: c.Local.Slots,
				Ledger:      allocator.NewLedger(records, c.Name),
				Nodes:       allocator.NewNodes(records, c.Name),
			})
			if err != nil {
				return nil, fmt.Errorf("provider %s: %w", c.Name, err)
			}
			providers[c.Name] = p
		default:
			return nil, fmt.Errorf("provider %s: no driver for kind %q in this build", c.Name, c.Kind)
		}
	}
	return providers, nil
}
