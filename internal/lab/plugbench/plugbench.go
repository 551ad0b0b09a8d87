//go:build linux

// Package plugbench measures hot-plug against virsh, and the traffic of a
// hot-plugged NIC against that of Docker's networks, in one guest of a lab.
package plugbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

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
	// Rounds is how often each rival plugs and unplugs; the others are fewer by
	// as much as they take longer. Optional: 50.
	Rounds int
	// Cycles is how often one MAC comes and goes. Optional: 200.
	Cycles int
	// Only are the parts to measure, of Parts. Optional: all.
	Only []string
	// Out is the directory of the figures and reports. Required.
	Out string
	// Commit is what is measured. Optional: "unknown".
	Commit string
	// Progress is told of every measure as it begins. Optional.
	Progress io.Writer
}

func (o Options) withDefaults() (Options, error) {
	if o.Out == "" {
		return o, errors.New("no directory for the figures")
	}
	if o.Rounds < 0 || o.Cycles < 0 {
		return o, fmt.Errorf("%d rounds, %d cycles; want more than none", o.Rounds, o.Cycles)
	}
	for _, name := range o.Only {
		if !slices.Contains(Parts(), name) {
			return o, fmt.Errorf("no part %q; there are %q", name, Parts())
		}
	}
	if o.Rounds == 0 {
		o.Rounds = 50
	}
	if o.Cycles == 0 {
		o.Cycles = 200
	}
	if o.Commit == "" {
		o.Commit = "unknown"
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o, nil
}

// bench is one run.
type bench struct {
	opts  Options
	lab   *cluster.Cluster
	node  *cluster.Node
	file  *figures.File
	watch *watch
	ours  *libvirt.Provider
	begin time.Time
}

// Run measures in the lab's first guest, with nothing else going on in the lab,
// and writes plug.csv, bench-vm.md and bench-vm.html. The error says also how
// many runs did not do what they should.
func Run(ctx context.Context, lab *cluster.Cluster, opts Options) (err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return fmt.Errorf("measure the lab: %w", err)
	}
	b := &bench{opts: opts, lab: lab, node: lab.Nodes()[0], begin: time.Now()}
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

func (b *bench) tell(format string, args ...any) {
	fmt.Fprintf(b.opts.Progress, "%6.1fs  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, args...))
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
	steps := []func(context.Context) error{b.plugs, b.frozen, b.cycles, b.replies, b.paths}
	for i, name := range Parts() {
		if len(b.opts.Only) > 0 && !slices.Contains(b.opts.Only, name) {
			continue
		}
		if err := steps[i](ctx); err != nil {
			return err
		}
	}
	return nil
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
