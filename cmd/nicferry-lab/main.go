//go:build linux

// Command nicferry-lab builds playgrounds for nicferry on one machine and
// shows it at work in them.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/version"
)

func main() {
	os.Exit(daemon.Run("nicferry-lab", os.Stderr, func(ctx context.Context) error {
		return command().ExecuteContext(ctx)
	}))
}

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "nicferry-lab",
		Short:         "Playgrounds for nicferry on one machine",
		Example:       "  nicferry-lab demo",
		Version:       version.Get().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return daemon.UsageError{Err: err} })
	cmd.AddCommand((&demoCommand{}).command())
	return cmd
}
