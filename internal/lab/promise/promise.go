//go:build linux

// Package promise asks a lab's nodes whether all that must always hold does.
package promise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/local"
	"github.com/nicferry/nicferry/provider/sriov"
)

// Options say what to look at.
type Options struct {
	// Config is the controller's. Required.
	Config string
	// Node is the only node, whatever its agent calls it; Nodes are several by
	// name, without those that are off; Cluster has guests as its nodes. One of the
	// three is required.
	Node    *lab.Node
	Nodes   map[string]*lab.Node
	Cluster *cluster.Cluster
	// Records are where the config says etcd. Optional: the file that it names.
	Records store.Store
	// Strangers are what the function of that name said of the cluster before.
	// Optional: nothing is said of what is not ours.
	Strangers map[string]string
}

// Await checks again and again until all holds or patience is over: what moves
// may look wrong for a moment, and a daemon that was restarted may be away. It
// returns what does not hold in the end, or why that cannot be told, as an error.
func Await(ctx context.Context, o Options, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		found, err := Check(ctx, o)
		if err == nil {
			err = invariant.Error(found)
		}
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// Check looks at the controller's records, its providers, the nodes' kernels and
// engines, and returns all that must not be. Whether the daemons
// run does not matter; before the controller's first start all is well.
func Check(ctx context.Context, o Options) ([]invariant.Finding, error) {
	config, err := conf.LoadController(o.Config)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(config.Store); o.Records == nil && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "nicferry-promise-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	before, _, err := o.read(ctx, config, filepath.Join(dir, "before"))
	if err != nil {
		return nil, err
	}
	nodes, err := o.look(ctx)
	if err != nil {
		return nil, err
	}
	strangers, err := o.strangers(ctx)
	if err != nil {
		return nil, err
	}
	now, providers, err := o.read(ctx, config, filepath.Join(dir, "now"))
	if err != nil {
		return nil, err
	}
	if o.Node != nil && len(now.NICs) > 0 {
		nodes = map[string]invariant.Node{now.NICs[0].Node: nodes[onlyNode]}
	}
	return invariant.Check(invariant.World{
		Now: time.Now(), Records: now, Before: &before, Providers: providers, Nodes: nodes, Strangers: strangers,
	}), nil
}

// look looks at all nodes at once.
func (o Options) look(ctx context.Context) (map[string]invariant.Node, error) {
	var mu sync.Mutex
	nodes := map[string]invariant.Node{}
	group, ctx := errgroup.WithContext(ctx)
	for name, m := range o.machines() {
		group.Go(func() error {
			node, err := look(ctx, m)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			nodes[name] = node
			return nil
		})
	}
	return nodes, group.Wait()
}

// read reads the records and what the providers say out of a copy of the
// store's file: the controller does not share it. A copy that was taken in the
// middle of a commit is refused as damaged, and taken again.
func (o Options) read(ctx context.Context, config *conf.Controller, to string) (invariant.Records, map[string]invariant.Provider, error) {
	if o.Records != nil {
		return o.tell(ctx, config, o.Records)
	}
	const tries, pause = 20, 50 * time.Millisecond
	for try := 1; ; try++ {
		data, err := os.ReadFile(config.Store)
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		var records store.Store
		if err == nil {
			records, err = boltstore.Open(ctx, to, boltstore.Options{NoSync: true})
		}
		if err == nil {
			defer records.Close()
			return o.tell(ctx, config, records)
		}
		if try == tries {
			return invariant.Records{}, nil, fmt.Errorf("copy store %s: %w", config.Store, err)
		}
		time.Sleep(pause)
	}
}

func (o Options) tell(ctx context.Context, config *conf.Controller, records store.Store) (invariant.Records, map[string]invariant.Provider, error) {
	all, err := allocator.ReadRecords(ctx, records)
	if err != nil {
		return all, nil, err
	}
	providers := map[string]invariant.Provider{}
	for _, c := range config.Providers {
		p, err := o.provider(c, records)
		if err != nil {
			return all, nil, err
		}
		if p == nil {
			continue
		}
		nics, err := p.List(ctx)
		if err != nil {
			return all, nil, err
		}
		providers[c.Name] = invariant.Provider{DrawsMACs: p.Info().DrawsMACs, NICs: nics}
	}
	return all, providers, nil
}

// provider is what the config names, made once more; nil if it cannot be asked
// from here.
func (o Options) provider(c conf.Provider, records store.Store) (provider.Provider, error) {
	ledger := allocator.NewLedger(records, c.Name)
	switch {
	case c.Kind == conf.KindLocal:
		return local.New(local.Options{
			Name: c.Name, NICsPerNode: c.Local.Slots, Ledger: ledger, Nodes: allocator.NewNodes(records, c.Name),
		})
	case c.Kind == conf.KindSRIOV:
		return sriov.New(sriov.Options{Name: c.Name, Ledger: ledger, Nodes: allocator.NewNodes(records, c.Name)})
	case c.Kind == conf.KindLibvirt && o.Cluster != nil:
		return o.hypervisor(c.Name, ledger)
	}
	return nil, nil
}
