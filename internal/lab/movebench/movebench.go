//go:build linux

// Package movebench measures how long a peer outside hears nothing while a NIC, or a
// container with its NIC, moves between two guests of a lab, against virsh by hand.
package movebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/netns"
)

// Options say what to measure.
type Options struct {
	// Rounds is how often each rival moves. Optional: 30.
	Rounds int
	// Only are the parts to measure, of Parts. Optional: all.
	Only []string
	// Echo is a static program that answers each datagram to port 7007 with the same
	// and a word of its own. Required.
	Echo string
	// Out is the directory of the figures and the report. Required.
	Out string
	// Commit is what is measured. Optional: "unknown".
	Commit string
	// Progress is told of every measure as it begins. Optional.
	Progress io.Writer
}

// Parts are the names of what can be measured, in order.
func Parts() []string { return []string{"nic", "container"} }

func (o Options) withDefaults() (Options, error) {
	if o.Out == "" {
		return o, errors.New("no directory for the figures")
	}
	if o.Echo == "" {
		return o, errors.New("no program that answers the peer: --echo names it, and make bench-move builds it")
	}
	if o.Rounds < 0 {
		return o, fmt.Errorf("%d rounds; want more than none", o.Rounds)
	}
	for _, name := range o.Only {
		if !slices.Contains(Parts(), name) {
			return o, fmt.Errorf("no part %q; there are %q", name, Parts())
		}
	}
	if o.Rounds == 0 {
		o.Rounds = 30
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
	lan   *netns.Namespace
	file  *figures.File
	begin time.Time
}

// Run measures in the lab's first two guests, with nothing else going on in the lab,
// and writes move.csv, bench-move.md and two plots beside it. The error says also
// how many runs did not do what they should.
func Run(ctx context.Context, lab *cluster.Cluster, opts Options) (err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return fmt.Errorf("measure moves: %w", err)
	}
	b := &bench{opts: opts, lab: lab, begin: time.Now()}
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

func (b *bench) tell(format string, args ...any) {
	fmt.Fprintf(b.opts.Progress, "%6.1fs  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, args...))
}

// measure takes all measures, one after the other.
func (b *bench) measure(ctx context.Context) error {
	if err := b.images(ctx); err != nil {
		return err
	}
	if _, err := b.lab.Host().Run(ctx, "ip", "-n", cluster.LAN, "addr", "replace", handRouter, "dev", cluster.LANWire); err != nil {
		return err
	}
	steps := []func(context.Context) error{b.nics, b.containers}
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

// node is one of the two guests.
func (b *bench) node(i int) *cluster.Node { return b.lab.Nodes()[i] }
