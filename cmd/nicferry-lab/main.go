//go:build linux

// Command nicferry-lab builds playgrounds for nicferry on one machine and
// shows it at work in them.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/lab/guest/pid1"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
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
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return daemon.UsageError{Err: err} })
	cmd.AddCommand((&demoCommand{}).command(), (&benchCommand{}).command(), (&cloudCommand{}).command(), ecsCall(), s0Command(), s1Command(), guestInit())
	cmd.AddCommand((&simCommand{}).command(), (&soakCommand{}).command())
	cmd.AddCommand(simChildren()...)
	cmd.AddCommand(labCommands()...)
	return cmd
}

// guestInit is what a virtual machine of the lab runs first.
func guestInit() *cobra.Command {
	return &cobra.Command{
		Use:    protocol.Argument,
		Short:  "Turn this virtual machine into a guest of the lab",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return pid1.Main() },
	}
}

func noSuchCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return daemon.UsageError{Err: fmt.Errorf("unknown command %q; see nicferry-lab --help", args[0])}
	}
	return nil
}
