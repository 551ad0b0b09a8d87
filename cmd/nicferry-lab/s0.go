//go:build linux

package main

import (
	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/lab/vmdemo"
)

func s0Command() *cobra.Command {
	var opts vmdemo.Options
	cmd := &cobra.Command{
		Use:   "s0",
		Short: "Go through the checklist of the SR-IOV paper, line by line",
		Long: `s0 brings a virtual machine up that plays a physical host with two cards on two
switches, and goes through what a published system for containers on bonds of
virtual functions does: S0-1 to S0-12, a line for each, with the command that shows
it. It takes the machine down and exits with 1 if a line does not hold.`,
		Example: "  nicferry-lab s0",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			var err error
			if opts.Bin, err = binDir(opts.Bin); err != nil {
				return err
			}
			opts.Out, opts.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return vmdemo.S0(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Bin, "bin", "", "where nicferry's programs are (default: beside this program)")
	cmd.Flags().StringVar(&opts.Dir, "dir", vmdemo.DefaultDir, "the directory of the virtual machine, which is there only meanwhile")
	return cmd
}
