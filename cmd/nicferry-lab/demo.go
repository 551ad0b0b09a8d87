//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/lab/demo"
)

type demoCommand struct {
	plant bool
	json  string
	bin   string
}

func (d *demoCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show nicferry's main job on this machine, in under a minute",
		Long: `demo starts a private Docker engine, nicferryd and nicferry-agent in namespaces
of their own, gives containers network cards, takes them back, and holds the
machine before and after against each other. Nothing of yours is touched.`,
		Example: `  nicferry-lab demo
  nicferry-lab demo --json figures.json`,
		Args: noArgs,
		RunE: d.run,
	}
	cmd.Flags().BoolVar(&d.plant, "plant", false, "leave a veth behind on purpose: the demo must notice and fail")
	cmd.Flags().StringVar(&d.json, "json", "", "write the figures to this file")
	cmd.Flags().StringVar(&d.bin, "bin", "", "where nicferryd, nicferry-agent and nicferry are (default: beside this program)")
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return daemon.UsageError{Err: fmt.Errorf("want no arguments, got %q", args)}
	}
	return nil
}

func (d *demoCommand) run(cmd *cobra.Command, _ []string) error {
	if os.Geteuid() != 0 {
		return daemon.UsageError{Err: errors.New("needs root to make network namespaces; run it with sudo")}
	}
	if d.bin == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		d.bin = filepath.Dir(self)
	}
	return demo.Run(cmd.Context(), demo.Options{Bin: d.bin, Out: cmd.OutOrStdout(), JSON: d.json, Plant: d.plant})
}
