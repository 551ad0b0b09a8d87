//go:build linux

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/movebench"
)

// benchMovesCommand is "nicferry-lab bench moves".
type benchMovesCommand struct {
	lab  benchLab
	opts movebench.Options
	benchReport
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
	b.benchReport.flags(cmd, &b.opts.Settings, 30, "rounds, in which each rival moves once", "build/bench-move", movebench.Parts())
	cmd.Flags().StringVar(&b.opts.Echo, "echo", "", "the static program that answers the peer, of e2e/migrate/echo")
	return cmd
}

func (b *benchMovesCommand) run(cmd *cobra.Command, _ []string) error {
	b.lab.opts.Nodes = 2
	return b.benchReport.run(cmd, &b.opts.Settings, "bench-move.md", func() error {
		return b.lab.measure(cmd, func(ctx context.Context, lab *cluster.Cluster) error { return movebench.Run(ctx, lab, b.opts) })
	}, func(m figures.Machine) error { return movebench.Tell(b.from, m, b.opts.Out) })
}
