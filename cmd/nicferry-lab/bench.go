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
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/plugbench"
	"github.com/nicferry/nicferry/internal/version"
)

// benchDir is where the lab of a bench lives, apart from the one of 'up'.
const benchDir = "/var/lib/nicferry-bench"

type benchCommand struct {
	lab  cluster.Options
	opts plugbench.Options
	keep bool
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
	cmd.Flags().StringVar(&b.lab.Dir, "dir", benchDir, "the lab's own directory")
	cmd.Flags().StringVar(&b.lab.Bin, "bin", "", "where nicferry's programs are (default: beside this program)")
	cmd.Flags().IntVar(&b.opts.Rounds, "rounds", 50, "rounds of hot-plug; the others are fewer in proportion")
	cmd.Flags().IntVar(&b.opts.Cycles, "cycles", 200, "cycles of attach and detach of one MAC")
	cmd.Flags().StringVar(&b.opts.Out, "out", "build/bench-vm", "directory for the figures and reports")
	cmd.Flags().StringVar(&b.opts.Commit, "commit", version.Get().Commit, "what is measured, for the reports")
	cmd.Flags().StringSliceVar(&b.opts.Only, "only", nil, "measure these alone of "+strings.Join(plugbench.Parts(), ", "))
	cmd.Flags().StringVar(&b.from, "from", "", "measure nothing, and compute the reports again from this file of figures")
	cmd.Flags().BoolVar(&b.keep, "keep", false, "leave the lab up, and measure in one that was left up")
	cmd.AddCommand((&benchMovesCommand{}).command())
	return cmd
}

func (b *benchCommand) run(cmd *cobra.Command, _ []string) (err error) {
	if b.from != "" {
		m, err := figures.Look()
		return errors.Join(err, plugbench.Tell(b.from, m, b.opts.Out))
	}
	if err := needRoot(); err != nil {
		return err
	}
	if b.lab.Bin, err = binDir(b.lab.Bin); err != nil {
		return err
	}
	if b.opts.Out, err = filepath.Abs(b.opts.Out); err != nil {
		return err
	}
	b.lab.Nodes, b.lab.Controller = 1, plugbench.Config
	b.lab.Out, b.opts.Progress = cmd.ErrOrStderr(), cmd.ErrOrStderr()
	lab, err := cluster.Up(cmd.Context(), b.lab)
	if errors.Is(err, hyper.ErrRuns) && b.keep {
		lab, err = cluster.Find(cmd.Context(), b.lab.Dir)
	}
	if errors.Is(err, hyper.ErrRuns) {
		return fmt.Errorf("%w: 'nicferry-lab down --dir %s' ends it", err, b.lab.Dir)
	}
	if err != nil {
		return err
	}
	err = errors.Join(plugbench.Run(cmd.Context(), lab, b.opts), lab.Close())
	if !b.keep {
		err = errors.Join(err, down(cmd.Context(), b.lab.Dir))
	}
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(b.opts.Out, "bench-vm.html"))
	}
	return err
}

// down takes the lab down also when the bench was interrupted.
func down(ctx context.Context, dir string) error {
	return cluster.Down(context.WithoutCancel(ctx), dir)
}
