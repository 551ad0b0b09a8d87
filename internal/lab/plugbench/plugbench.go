//go:build linux

// Package plugbench measures hot-plug against virsh, and the traffic of a
// hot-plugged NIC against that of Docker's networks, in one guest of a lab.
package plugbench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/provider/libvirt"
)

// Config is added to the controller's of a lab that is to be measured: a
// network whose NICs are plugged in when their containers start, not before.
const Config = `  - name: late
    provider: vms
    addressing: ipam
    preplug: 0s
    cooldown: 0s
    port: {bridge: lan0}
    subnets:
      - {prefix: 10.77.3.0/24, gateway: 10.77.3.1, ranges: [10.77.3.100-10.77.3.199]}
`

// Options say what to measure.
type Options struct {
	// Settings have 50 rounds by default, in which each rival plugs and unplugs;
	// others are fewer by as much as they take longer. The parts are those of Parts.
	figures.Settings
	// Cycles is how often one MAC comes and goes. Optional: 200.
	Cycles int
}

func (o Options) withDefaults() (Options, error) {
	err := o.Complete(50, Parts())
	if err == nil && o.Cycles < 0 {
		err = fmt.Errorf("%d cycles; want more than none", o.Cycles)
	}
	if o.Cycles == 0 {
		o.Cycles = 200
	}
	return o, err
}

// bench is one run.
type bench struct {
	opts  Options
	lab   *cluster.Cluster
	node  *cluster.Node
	file  *figures.File
	watch *watch
	ours  *libvirt.Provider
}

// Run measures in the lab's first guest, with nothing else going on in the lab,
// and writes plug.csv, bench-vm.md and bench-vm.html. The error says also how
// many runs did not do what they should.
func Run(ctx context.Context, lab *cluster.Cluster, opts Options) (err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return fmt.Errorf("measure the lab: %w", err)
	}
	b := &bench{opts: opts, lab: lab, node: lab.Nodes()[0]}
	path := filepath.Join(opts.Out, "plug.csv")
	m, err := figures.Measure(path, opts.Commit, func(f *figures.File) error {
		b.file = f
		return b.measure(ctx)
	})
	if err != nil {
		return fmt.Errorf("measure the lab: %w", err)
	}
	return Tell(path, m, opts.Out)
}

// measure takes all measures, one after the other.
func (b *bench) measure(ctx context.Context) (err error) {
	if b.watch, err = b.startWatch(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.watch.stop()) }()
	end, err := b.openProvider(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	return b.opts.Take(ctx, Parts(), b.plugs, b.frozen, b.cycles, b.replies, b.paths)
}

// Parts are the names of what can be measured, in order: attach and detach, a
// detach from a frozen guest, cycles of one MAC, containers' starts, traffic.
func Parts() []string { return []string{"plug", "frozen", "cycles", "replies", "paths"} }

// openProvider makes a provider as the controller does, with a ledger on disk
// of its own.
func (b *bench) openProvider(ctx context.Context) (end func() error, err error) {
	records, err := boltstore.Open(ctx, filepath.Join(b.lab.Host().Dir(), "bench.db"), boltstore.Options{})
	if err != nil {
		return nil, err
	}
	b.ours, err = libvirt.New(libvirt.Options{
		Name: "bench", Ledger: allocator.NewLedger(records, "bench"),
		Open: func(ctx context.Context) (libvirt.Hypervisor, error) {
			conn, err := virt.Open(ctx, virt.Options{URI: b.lab.Host().URI()})
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
	})
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	return func() error { return errors.Join(b.ours.Close(), records.Close()) }, nil
}
