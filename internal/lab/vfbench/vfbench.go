//go:build linux

// Package vfbench measures, in one guest of a lab with two cards, the traffic of VFs and
// bonds of VFs against the card itself and Docker's networks on it, and how long a VF
// takes into its container.
package vfbench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// Options say what to measure.
type Options struct {
	figures.Settings // 5 rounds by default; the parts are those of Parts
	// Mover is the static program of e2e/sriov/vfmove. Required.
	Mover string
	// Doc is a file that gets the report too, with the plots beside it. Optional.
	Doc string
}

// Parts are the names of what can be measured, in order.
func Parts() []string { return []string{"moves", "paths"} }

func (o Options) withDefaults() (Options, error) {
	err := o.Complete(5, Parts())
	if err == nil && o.Mover == "" {
		err = errors.New("no program that moves a VF: --mover names it, and make bench-sriov builds it")
	}
	return o, err
}

// The bounds of the parts: no round begins after these.
const (
	movesTime = 4 * time.Minute
	pathsTime = 9 * time.Minute
)

// bench is one run.
type bench struct {
	opts Options
	lab  *cluster.Cluster
	node *cluster.Node
	file *figures.File
}

// Run measures in the lab's first guest, which has cards of 7 VFs, with nothing else going
// on in the lab, and writes bench-sriov.csv, bench-sriov.md and its plots. The error says
// also how many runs did not do what they should.
func Run(ctx context.Context, lab *cluster.Cluster, opts Options) (err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return fmt.Errorf("measure VFs: %w", err)
	}
	b := &bench{opts: opts, lab: lab, node: lab.Nodes()[0]}
	path := filepath.Join(opts.Out, figuresName)
	m, err := figures.Measure(path, opts.Commit, func(f *figures.File) error {
		b.file = f
		return b.opts.Take(ctx, Parts(), b.moves, b.paths)
	})
	if err != nil {
		return fmt.Errorf("measure VFs: %w", err)
	}
	return Tell(path, m, opts.Out, opts.Doc)
}

// patience bounds what takes seconds in a guest.
const patience = 3 * time.Minute

// start runs a container of the lab's image; end removes it.
func (b *bench) start(ctx context.Context, name string, args ...string) (end func() error, err error) {
	args = append(append([]string{"run", "-d", "--init", "--name", name}, args...), lab.ImageName, "sleep", "3600")
	end = func() error {
		_, err := b.docker(context.WithoutCancel(ctx), "rm", "-f", name)
		return err
	}
	_, err = b.docker(ctx, args...)
	return end, err
}

// docker runs Docker's CLI in the guest, within a deadline.
func (b *bench) docker(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("docker %s has taken %s", args[0], patience))
	defer cancel()
	return b.node.Docker(ctx, args...)
}

// sh runs a script in the guest, within a deadline.
func (b *bench) sh(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("a script has taken %s: %s", patience, script))
	defer cancel()
	out, err := b.node.Command(ctx, "sh", "-ec", script).Output()
	return string(out), err
}
