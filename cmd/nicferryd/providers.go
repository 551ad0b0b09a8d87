package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
	"github.com/nicferry/nicferry/provider/local"
)

// openProviders makes each configured provider. This is the one place that
// knows all kinds.
func openProviders(configured []conf.Provider, records store.Store, log *slog.Logger) (map[string]provider.Provider, error) {
	providers := map[string]provider.Provider{}
	for _, c := range configured {
		p, err := openProvider(c, records, log)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", c.Name, err)
		}
		providers[c.Name] = p
	}
	return providers, nil
}

func openProvider(c conf.Provider, records store.Store, log *slog.Logger) (provider.Provider, error) {
	ledger := allocator.NewLedger(records, c.Name)
	switch c.Kind {
	case conf.KindLocal:
		return local.New(local.Options{
			Name: c.Name, NICsPerNode: c.Local.Slots, Ledger: ledger, Nodes: allocator.NewNodes(records, c.Name),
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
