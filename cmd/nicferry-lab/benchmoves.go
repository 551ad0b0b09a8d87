//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/movebench"
	"github.com/nicferry/nicferry/internal/version"
)

// benchMovesCommand is "nicferry-lab bench moves".
type benchMovesCommand struct {
	lab  benchLab
	opts movebench.Options
	from string
}

func (b *benchMovesCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "moves",
		Short: "Measure how long nobody answers while a NIC or a container moves, against virsh by hand",
		Long: `moves brings up a lab of its own with two virtual machines, moves NICs and containers
to and fro under the eyes of a peer outside, writes bench-move.csv, bench-move.md and
two plots, and takes the lab down. It takes half an hour, and its figures are worth
what the machine is idle.`,
		Example: "  nicferry-lab bench moves --echo build/bench/echo --out build/bench-move",
		Args:    noArgs,
		RunE:    b.run,
	}
	b.lab.flags(cmd)
	cmd.Flags().IntVar(&b.opts.Rounds, "rounds", 30, "rounds, in which each rival moves once")
	cmd.Flags().StringVar(&b.opts.Echo, "echo", "", "the static program that answers the peer, of e2e/migrate/echo")
	cmd.Flags().StringVar(&b.opts.Out, "out", "build/bench-move", "directory for the figures and the report")
	cmd.Flags().StringVar(&b.opts.Commit, "commit", version.Get().Commit, "what is measured, for the report")
	cmd.Flags().StringSliceVar(&b.opts.Only, "only", nil, "measure these alone of "+strings.Join(movebench.Parts(), ", "))
	cmd.Flags().StringVar(&b.from, "from", "", "measure nothing, and compute the report again from this file of figures")
	return cmd
}

func (b *benchMovesCommand) run(cmd *cobra.Command, _ []string) (err error) {
	if b.from != "" {
		m, err := figures.Look()
		return errors.Join(err, movebench.Tell(b.from, m, b.opts.Out))
	}
	if b.opts.Out, err = filepath.Abs(b.opts.Out); err != nil {
		return err
	}
	b.lab.opts.Nodes = 2
	b.opts.Progress = cmd.ErrOrStderr()
	err = b.lab.measure(cmd, func(ctx context.Context, lab *cluster.Cluster) error { return movebench.Run(ctx, lab, b.opts) })
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(b.opts.Out, "bench-move.md"))
	}
	return err
}
