//go:build linux

package main

import (
	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab/cloudbench"
)

// benchCloudCommand is "nicferry-lab bench cloud".
type benchCloudCommand struct {
	opts cloudbench.Options
	benchReport
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
	b.benchReport.flags(cmd, &b.opts.Settings, 5, "rounds of each measure", "build/bench-cloud", cloudbench.Parts())
	cmd.Flags().StringVar(&b.opts.Bin, "bin", "", "where nicferryd is (default: beside this program)")
	cmd.Flags().StringVar(&b.opts.Doc, "doc", "", "a file that gets the report too")
	return cmd
}

func (b *benchCloudCommand) run(cmd *cobra.Command, _ []string) error {
	return b.benchReport.run(cmd, &b.opts.Settings, "bench-cloud.md", func() (err error) {
		if b.opts.Bin, err = binDir(b.opts.Bin); err != nil {
			return err
		}
		return cloudbench.Run(cmd.Context(), b.opts)
	}, func(m figures.Machine) error { return cloudbench.Tell(b.from, m, b.opts.Out, b.opts.Doc) })
}
