//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cloudbench"
	"github.com/nicferry/nicferry/internal/version"
)

// benchCloudCommand is "nicferry-lab bench cloud".
type benchCloudCommand struct {
	opts cloudbench.Options
	from string
}

func (b *benchCloudCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cloud",
		Short: "Measure the controller's way with a cloud: calls, throttling, claims per second, and waiting",
		Long: `cloud runs nicferryd against the emulator of EC2 with up to 1,000 nodes that only
speak the API, counts its calls by the cloud's own log, and measures how long containers
wait for their NICs, against the pauses of other clouds' CNIs. It writes bench-cloud.csv
and bench-cloud.md. It takes ten minutes, needs no root and no network, and its figures
are worth what the machine is idle.`,
		Example: "  nicferry-lab bench cloud --out build/bench-cloud",
		Args:    noArgs,
		RunE:    b.run,
	}
	cmd.Flags().IntVar(&b.opts.Rounds, "rounds", 5, "rounds of each measure")
	cmd.Flags().StringVar(&b.opts.Bin, "bin", "", "where nicferryd is (default: beside this program)")
	cmd.Flags().StringVar(&b.opts.Out, "out", "build/bench-cloud", "directory for the figures and the report")
	cmd.Flags().StringVar(&b.opts.Doc, "doc", "", "a file that gets the report too")
	cmd.Flags().StringVar(&b.opts.Commit, "commit", version.Get().Commit, "what is measured, for the report")
	cmd.Flags().StringSliceVar(&b.opts.Only, "only", nil, "measure these alone of "+strings.Join(cloudbench.Parts(), ", "))
	cmd.Flags().StringVar(&b.from, "from", "", "measure nothing, and compute the report again from this file of figures")
	return cmd
}

func (b *benchCloudCommand) run(cmd *cobra.Command, _ []string) (err error) {
	if b.from != "" {
		m, err := figures.Look()
		return errors.Join(err, cloudbench.Tell(b.from, m, b.opts.Out, b.opts.Doc))
	}
	if b.opts.Out, err = filepath.Abs(b.opts.Out); err != nil {
		return err
	}
	if b.opts.Bin, err = binDir(b.opts.Bin); err != nil {
		return err
	}
	b.opts.Progress = cmd.ErrOrStderr()
	if err := cloudbench.Run(cmd.Context(), b.opts); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(b.opts.Out, "bench-cloud.md"))
	return err
}
