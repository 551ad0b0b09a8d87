//go:build linux

// Package movebench measures how long a peer outside hears nothing while a NIC, or a
// container with its NIC, moves between two guests of a lab, against virsh by hand.
package movebench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/netns"
)

// Options say what to measure.
type Options struct {
	figures.Settings // 30 rounds by default; the parts are those of Parts
	// Echo is a static program that answers each datagram to port 7007 with the same
	// and a word of its own. Required.
	Echo string
}

// Parts are the names of what can be measured, in order.
func Parts() []string { return []string{"nic", "container"} }

func (o Options) withDefaults() (Options, error) {
	err := o.Complete(30, Parts())
	if err == nil && o.Echo == "" {
		err = errors.New("no program that answers the peer: --echo names it, and make bench-move builds it")
	}
	return o, err
}

// bench is one run.
type bench struct {
	opts Options
	lab  *cluster.Cluster
	lan  *netns.Namespace
	file *figures.File
}

// Run measures in the lab's first two guests, with nothing else going on in the lab,
// and writes bench-move.csv, bench-move.md and two plots beside it. The error says also
// how many runs did not do what they should.
func Run(ctx context.Context, lab *cluster.Cluster, opts Options) (err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return fmt.Errorf("measure moves: %w", err)
	}
	b := &bench{opts: opts, lab: lab}
	b.lan, err = netns.Open(filepath.Join(lab.Host().Root(), "run/netns", cluster.LAN))
	if err != nil {
		return fmt.Errorf("measure moves: %w", err)
	}
	defer b.lan.Close()
	path := filepath.Join(opts.Out, figuresName)
	m, err := figures.Measure(path, opts.Commit, func(f *figures.File) error {
		b.file = f
		return b.measure(ctx)
	})
	if err != nil {
		return fmt.Errorf("measure moves: %w", err)
	}
	return Tell(path, m, opts.Out)
}

// measure takes all measures, one after the other.
func (b *bench) measure(ctx context.Context) error {
	if err := b.images(ctx); err != nil {
		return err
	}
	if _, err := b.lab.Host().Run(ctx, "ip", "-n", cluster.LAN, "addr", "replace", handRouter, "dev", cluster.LANWire); err != nil {
		return err
	}
	return b.opts.Take(ctx, Parts(), b.nics, b.containers)
}

// node is one of the two guests.
func (b *bench) node(i int) *cluster.Node { return b.lab.Nodes()[i] }
