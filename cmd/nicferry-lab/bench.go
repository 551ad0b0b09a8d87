//go:build linux

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/plugbench"
)

type benchCommand struct {
	lab  benchLab
	opts plugbench.Options
	benchReport
}

func (b *benchCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure hot-plug against virsh, and a hot-plugged NIC against Docker's networks",
		Long: `bench brings up a lab of its own with one virtual machine, measures in it, writes
plug.csv, bench-vm.md and bench-vm.html, and takes the lab down. It takes a quarter
of an hour, and its figures are worth what the machine is idle. iperf3 and
sockperf must be there: scripts/install-deps vm bench.`,
		Example: "  nicferry-lab bench --rounds 50 --out build/bench-vm",
		Args:    noArgs,
		RunE:    b.run,
	}
	b.lab.flags(cmd)
	b.benchReport.flags(cmd, &b.opts.Settings, 50, "rounds of hot-plug; the others are fewer in proportion", "build/bench-vm", plugbench.Parts())
	cmd.Flags().IntVar(&b.opts.Cycles, "cycles", 200, "cycles of attach and detach of one MAC")
	cmd.AddCommand((&benchMovesCommand{}).command(), (&benchCloudCommand{}).command(), (&benchSRIOVCommand{}).command())
	return cmd
}

func (b *benchCommand) run(cmd *cobra.Command, _ []string) error {
	b.lab.opts.Nodes, b.lab.opts.Controller = 1, plugbench.Config
	return b.benchReport.run(cmd, &b.opts.Settings, "bench-vm.html", func() error {
		return b.lab.measure(cmd, func(ctx context.Context, lab *cluster.Cluster) error { return plugbench.Run(ctx, lab, b.opts) })
	}, func(m figures.Machine) error { return plugbench.Tell(b.from, m, b.opts.Out) })
}
