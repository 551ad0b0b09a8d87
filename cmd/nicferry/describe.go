package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// describeCommand is "nicferry describe".
type describeCommand struct{ *app }

func (d *describeCommand) command() *cobra.Command {
	return &cobra.Command{
		Use:   "describe " + strings.Join(kindNames(), "|") + " NAME",
		Short: "Say all that is known of one node, NIC, claim or network",
		Long: `Say all that is known of one node, NIC, claim or network, for people.
Programs read "get -o json".

A claim is named by its id, or by its container's name or id.`,
		Example: `  nicferry describe claims web
  nicferry describe nics nic-0123456789abcdef
  nicferry describe networks lab`,
		Args:              oneKindAnd(1, 1),
		ValidArgsFunction: d.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.describe(cmd.Context(), args) },
	}
}

func (d *describeCommand) describe(ctx context.Context, args []string) error {
	k, err := kindOf(args[0])
	if err != nil {
		return err
	}
	found, _, err := d.fetch(ctx, k, args[1:])
	if err != nil {
		return err
	}
	for i, t := range found {
		if i > 0 {
			fmt.Fprintln(d.out)
		}
		s := &sheet{now: d.now()}
		t.describe(s)
		if err := s.flush(d.out); err != nil {
			return err
		}
	}
	return nil
}
