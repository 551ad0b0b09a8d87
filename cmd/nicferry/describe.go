package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api/client"
)

// describeCommand is "nicferry describe".
type describeCommand struct {
	*app
	format string
}

func (d *describeCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe " + strings.Join(kindNames(), "|") + " NAME",
		Short: "Say all that is known of one node, NIC, claim, network or move",
		Long: `Say all that is known of one node, NIC, claim, network or move, for people.
With -o json it is the API's object, as of "get -o json".

A claim is named by its id, or by its container's name or id. Its waterfall shows
how its NIC got into the container: for each step when it began after the first
one, how long it took, and both as a bar. The steps until attached, bound, and
spare, a NIC that was in reserve, are the controller's; the others its node's.
That of a move shows its steps in the same way.

When a node's certificate ends is shown once its agent has called this controller
since its start.`,
		Example: `  nicferry describe claims web
  nicferry describe claim web -o json
  nicferry describe nics nic-0123456789abcdef
  nicferry describe networks lab
  nicferry describe move web`,
		Args:              oneKindAnd(1, 1),
		ValidArgsFunction: d.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.describe(cmd.Context(), args) },
	}
	cmd.Flags().StringVarP(&d.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (d *describeCommand) describe(ctx context.Context, args []string) error {
	if err := checkFormat(d.format, "text"); err != nil {
		return err
	}
	k, err := kindOf(args[0])
	if err != nil {
		return err
	}
	found, single, err := d.fetch(ctx, k, args[1:])
	if err != nil {
		return err
	}
	if d.format != "text" {
		return (&printer{out: d.out, format: d.format}).print(k, found, single)
	}
	if k.more != nil && len(found) == 1 {
		err = d.call(ctx, func(ctx context.Context, c *client.Client) error {
			found[0] = k.more(ctx, c, found[0])
			return nil
		})
		if err != nil {
			return err
		}
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
