package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
	"github.com/nicferry/nicferry/provider/local"
	"github.com/nicferry/nicferry/provider/sriov"
)

// openProviders makes each configured provider. This is the one place that
// knows all kinds.
func openProviders(ctx context.Context, c *conf.Controller, records store.Store, log *slog.Logger) (map[string]provider.Provider, error) {
	if err := checkFormer(ctx, c.Providers, records); err != nil {
		return nil, err
	}
	providers := map[string]provider.Provider{}
	for _, configured := range c.Providers {
		p, err := openProvider(ctx, c, configured, records, log)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", configured.Name, err)
		}
		providers[configured.Name] = p
	}
	return providers, nil
}

// checkFormer refuses a provider of VFs that has been given another name while NICs
// have VFs by the former one: it would not know of those, and give them out again.
func checkFormer(ctx context.Context, configured []conf.Provider, records store.Store) error {
	at := slices.IndexFunc(configured, func(p conf.Provider) bool { return p.Kind == conf.KindSRIOV })
	if at < 0 {
		return nil
	}
	former, err := allocator.FormerVFs(ctx, records, configured[at].Name, sriov.Kept)
	if err != nil {
		return fmt.Errorf("read whose VFs are given out: %w", err)
	}
	var all error
	for _, name := range slices.Sorted(maps.Keys(former)) {
		nics := former[name]
		all = errors.Join(all, fmt.Errorf("provider %s: %d NICs, such as %s, have VFs of provider %q, or links on cards instead, and it gives none any more, so that theirs would be given out again: "+
			"call it %q as before, with its networks; another name is for when no container has either", configured[at].Name, len(nics), nics[0], name, name))
	}
	return all
}

func openProvider(ctx context.Context, of *conf.Controller, c conf.Provider, records store.Store, log *slog.Logger) (provider.Provider, error) {
	ledger := allocator.NewLedger(records, c.Name)
	switch c.Kind {
	case conf.KindLocal:
		return local.New(local.Options{
			Name: c.Name, NICsPerNode: c.Local.Slots, Ledger: ledger, Nodes: allocator.NewNodes(records, c.Name),
		})
	case conf.KindSRIOV:
		return sriov.New(sriov.Options{
			Name: c.Name, Ledger: ledger, Nodes: allocator.NewNodes(records, c.Name), Networks: of.Networks, Tenants: of.TenantsOf,
		})
	case conf.KindLibvirt:
		return libvirt.New(libvirt.Options{
			Name: c.Name, Ledger: ledger, Log: log,
			Open: func(ctx context.Context) (libvirt.Hypervisor, error) {
				conn, err := virt.Open(ctx, virt.Options{URI: c.Libvirt.URI, Log: log})
				if err != nil {
					return nil, err // and no Hypervisor that holds a nil
				}
				return conn, nil
			},
		})
	case conf.KindAWS:
		return openAWS(ctx, c, ledger, log)
	case conf.KindAliyun:
		return openAliyun(ctx, c, ledger, log)
	}
	return nil, fmt.Errorf("no driver for kind %q in this build", c.Kind)
}

// closeProviders ends the connections that providers hold.
func closeProviders(providers map[string]provider.Provider) error {
	var all error
	for _, p := range providers {
		if c, ok := p.(io.Closer); ok {
			all = errors.Join(all, c.Close())
		}
	}
	return all
}
