//go:build linux

// Package promise asks a lab's node whether all that must always hold does.
package promise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/provider/local"
)

// Options say what to look at.
type Options struct {
	Node   *lab.Node // required
	Config string    // required: the controller's
}

// Await checks again and again until all holds or patience is over: what moves
// may look wrong for a moment. It returns what does not hold in the end as an
// error.
func Await(ctx context.Context, o Options, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		found, err := Check(ctx, o)
		if err != nil {
			return err
		}
		if len(found) == 0 || time.Now().After(end) {
			return invariant.Error(found)
		}
	}
}

// Check looks at the controller's records, its local providers, the node's
// kernel and its engine, and returns all that must not be. Whether the daemons
// run does not matter; before the controller's first start all is well.
func Check(ctx context.Context, o Options) ([]invariant.Finding, error) {
	config, err := conf.LoadController(o.Config)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(config.Store); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "nicferry-promise-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	before, _, err := read(ctx, config, filepath.Join(dir, "before"))
	if err != nil {
		return nil, err
	}
	node, err := look(ctx, o.Node)
	if err != nil {
		return nil, err
	}
	now, providers, err := read(ctx, config, filepath.Join(dir, "now"))
	if err != nil {
		return nil, err
	}
	nodes := map[string]invariant.Node{"node": node}
	for _, n := range now.NICs { // of this node, whatever its agent calls it: the lab has one
		clear(nodes)
		nodes[n.Node] = node
	}
	return invariant.Check(invariant.World{
		Now: time.Now(), Records: now, Before: &before, Providers: providers, Nodes: nodes,
	}), nil
}

// read reads the records and what the local providers say out of a copy of the
// store's file: the controller does not share it. A copy that was taken in the
// middle of a commit is refused as damaged, and taken again.
func read(ctx context.Context, config *conf.Controller, to string) (invariant.Records, map[string]invariant.Provider, error) {
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
			return tell(ctx, config, records)
		}
		if try == tries {
			return invariant.Records{}, nil, fmt.Errorf("copy store %s: %w", config.Store, err)
		}
		time.Sleep(pause)
	}
}

func tell(ctx context.Context, config *conf.Controller, records store.Store) (invariant.Records, map[string]invariant.Provider, error) {
	all, err := allocator.ReadRecords(ctx, records)
	if err != nil {
		return all, nil, err
	}
	providers := map[string]invariant.Provider{}
	for _, c := range config.Providers {
		if c.Kind != conf.KindLocal {
			continue
		}
		p, err := local.New(local.Options{
			Name: c.Name, NICsPerNode: c.Local.Slots,
			Ledger: allocator.NewLedger(records, c.Name), Nodes: allocator.NewNodes(records, c.Name),
		})
		if err != nil {
			return all, nil, err
		}
		nics, err := p.List(ctx)
		if err != nil {
			return all, nil, err
		}
		providers[c.Name] = invariant.Provider{DrawsMACs: p.Info().DrawsMACs, NICs: nics}
	}
	return all, providers, nil
}
