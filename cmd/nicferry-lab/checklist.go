//go:build linux

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/lab/vmdemo"
)

func s0Command() *cobra.Command {
	return checklist(vmdemo.S0, &cobra.Command{
		Use:   "s0",
		Short: "Go through the checklist of the SR-IOV paper, line by line",
		Long: `s0 brings a virtual machine up that plays a physical host with two cards on two
switches, and goes through what a published system for containers on bonds of
virtual functions does: S0-1 to S0-12, a line for each, with the command that shows
it. It takes the machine down and exits with 1 if a line does not hold.`,
		Example: "  nicferry-lab s0",
	})
}

func s1Command() *cobra.Command {
	return checklist(vmdemo.S1, &cobra.Command{
		Use:   "s1",
		Short: "Go through the checklist of the paper on NICs of a cloud, line by line",
		Long: `s1 brings two virtual machines up that are instances of an emulated ECS of Alibaba
Cloud, and goes through what a published system does that plugs NICs of its cloud
into virtual machines for their containers: S1-1 to S1-15, a line for each, with the
command that shows it. It takes the machines down and exits with 1 if a line does not
hold. sockperf and dpdk-testpmd must be there: scripts/install-deps vm s1.`,
		Example: "  nicferry-lab s1",
	})
}

// checklist is a command that goes through one.
func checklist(play func(context.Context, vmdemo.Options) error, cmd *cobra.Command) *cobra.Command {
	var opts vmdemo.Options
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needRoot(); err != nil {
			return err
		}
		var err error
		if opts.Bin, err = binDir(opts.Bin); err != nil {
			return err
		}
		opts.Out, opts.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return play(cmd.Context(), opts)
	}
	cmd.Flags().StringVar(&opts.Bin, "bin", "", "where nicferry's programs are (default: beside this program)")
	cmd.Flags().StringVar(&opts.Dir, "dir", vmdemo.DefaultDir, "the directory of the lab, which is there only meanwhile")
	return cmd
}
