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
	"github.com/nicferry/nicferry/internal/lab/plugbench"
	"github.com/nicferry/nicferry/internal/version"
)

type benchCommand struct {
	lab  benchLab
	opts plugbench.Options
	from string
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
	cmd.Flags().IntVar(&b.opts.Rounds, "rounds", 50, "rounds of hot-plug; the others are fewer in proportion")
	cmd.Flags().IntVar(&b.opts.Cycles, "cycles", 200, "cycles of attach and detach of one MAC")
	cmd.Flags().StringVar(&b.opts.Out, "out", "build/bench-vm", "directory for the figures and reports")
	cmd.Flags().StringVar(&b.opts.Commit, "commit", version.Get().Commit, "what is measured, for the reports")
	cmd.Flags().StringSliceVar(&b.opts.Only, "only", nil, "measure these alone of "+strings.Join(plugbench.Parts(), ", "))
	cmd.Flags().StringVar(&b.from, "from", "", "measure nothing, and compute the reports again from this file of figures")
	cmd.AddCommand((&benchMovesCommand{}).command(), (&benchCloudCommand{}).command())
	return cmd
}

func (b *benchCommand) run(cmd *cobra.Command, _ []string) (err error) {
	if b.from != "" {
		m, err := figures.Look()
		return errors.Join(err, plugbench.Tell(b.from, m, b.opts.Out))
	}
	if b.opts.Out, err = filepath.Abs(b.opts.Out); err != nil {
		return err
	}
	b.lab.opts.Nodes, b.lab.opts.Controller = 1, plugbench.Config
	b.opts.Progress = cmd.ErrOrStderr()
	err = b.lab.measure(cmd, func(ctx context.Context, lab *cluster.Cluster) error { return plugbench.Run(ctx, lab, b.opts) })
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(b.opts.Out, "bench-vm.html"))
	}
	return err
}
