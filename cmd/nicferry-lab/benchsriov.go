//go:build linux

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/vfbench"
)

// benchSRIOVCommand is "nicferry-lab bench sriov".
type benchSRIOVCommand struct {
	lab  benchLab
	opts vfbench.Options
	benchReport
}

func (b *benchSRIOVCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sriov",
		Short: "Measure VFs and bonds of VFs against the card itself, macvlan and Docker's bridge",
		Long: `sriov brings up a lab of its own with one virtual machine that plays a physical host
with two cards, measures how long a VF takes into its container and what goes through
it, writes bench-sriov.csv, bench-sriov.md and three plots, and takes the lab down. It
takes up to a quarter of an hour, and its figures are worth what the machine is idle.
iperf3 and sockperf must be there: scripts/install-deps vm bench.`,
		Example: "  nicferry-lab bench sriov --mover build/bench/vfmove --out build/bench-sriov",
		Args:    noArgs,
		RunE:    b.run,
	}
	b.lab.flags(cmd)
	b.benchReport.flags(cmd, &b.opts.Settings, 5, "rounds of traffic; VFs are moved eight times as often", "build/bench-sriov", vfbench.Parts())
	cmd.Flags().StringVar(&b.opts.Mover, "mover", "", "the static program that moves a VF, of e2e/sriov/vfmove")
	cmd.Flags().StringVar(&b.opts.Doc, "doc", "", "a file that gets the report too, with the plots beside it")
	return cmd
}

func (b *benchSRIOVCommand) run(cmd *cobra.Command, _ []string) error {
	b.lab.opts.Nodes, b.lab.opts.Metal = 1, &cluster.Metal{VFs: cluster.MaxVFs}
	return b.benchReport.run(cmd, &b.opts.Settings, "bench-sriov.md", func() error {
		return b.lab.measure(cmd, func(ctx context.Context, lab *cluster.Cluster) error { return vfbench.Run(ctx, lab, b.opts) })
	}, func(m figures.Machine) error { return vfbench.Tell(b.from, m, b.opts.Out, b.opts.Doc) })
}
