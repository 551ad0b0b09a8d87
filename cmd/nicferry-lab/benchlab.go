//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/hyper"
)

// benchDir is where the lab of a bench lives, apart from the one of 'up'.
const benchDir = "/var/lib/nicferry-bench"

// A benchLab is the lab that a bench brings up for itself.
type benchLab struct {
	opts cluster.Options
	keep bool
}

func (b *benchLab) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&b.opts.Dir, "dir", benchDir, "the lab's own directory")
	cmd.Flags().StringVar(&b.opts.Bin, "bin", "", "where nicferry's programs are (default: beside this program)")
	cmd.Flags().BoolVar(&b.keep, "keep", false, "leave the lab up, and measure in one that was left up")
}

// measure brings the lab up, has it measured, and takes it down.
func (b *benchLab) measure(cmd *cobra.Command, run func(context.Context, *cluster.Cluster) error) (err error) {
	if err := needRoot(); err != nil {
		return err
	}
	if b.opts.Bin, err = binDir(b.opts.Bin); err != nil {
		return err
	}
	b.opts.Out = cmd.ErrOrStderr()
	lab, err := cluster.Up(cmd.Context(), b.opts)
	if errors.Is(err, hyper.ErrRuns) && b.keep {
		lab, err = cluster.Find(cmd.Context(), b.opts.Dir)
	}
	if errors.Is(err, hyper.ErrRuns) {
		return fmt.Errorf("%w: 'nicferry-lab down --dir %s' ends it", err, b.opts.Dir)
	}
	if err != nil {
		return err
	}
	err = errors.Join(run(cmd.Context(), lab), lab.Close())
	if !b.keep { // also when the bench was interrupted
		err = errors.Join(err, cluster.Down(context.WithoutCancel(cmd.Context()), b.opts.Dir))
	}
	return err
}
