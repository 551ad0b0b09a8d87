package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
)

// statusCommand is "nicferry status".
type statusCommand struct {
	*app
	format string
}

// errDegraded ends a status that has something to tell.
var errDegraded = errors.New("the controller is degraded")

func (c *statusCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the controller can do its work",
		Long: `Say whether the controller can do its work, and by name what keeps it from it:

  StoreUnreachable     its store takes no records, such as on a full disk
  ProviderUnreachable  a provider does not answer
  NodeSilent           a node's agent has said nothing for a while
  NotLeading           it is starting, or another controller leads
  Stuck                a step of its work does not end
  MoveParked           a container's move goes neither on nor back without you

Containers keep what they have in all of them.

Exit codes: 0 all is well, 1 something is not, or the controller did not answer;
the others as everywhere.`,
		Example: `  nicferry status
  nicferry status -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&c.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (c *statusCommand) run(ctx context.Context) error {
	if err := checkFormat(c.format, "text"); err != nil {
		return err
	}
	var status api.Status
	err := c.call(ctx, func(ctx context.Context, client *client.Client) (err error) {
		status, err = client.Status(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if c.format != "text" {
		err = encode(c.out, c.format, status)
	} else {
		err = c.print(status)
	}
	if err == nil && len(status.Conditions) > 0 {
		err = errDegraded
	}
	return err
}

func (c *statusCommand) print(status api.Status) error {
	if len(status.Conditions) == 0 {
		_, err := fmt.Fprintln(c.out, "All is well.")
		return err
	}
	w := newTable(c.out)
	fmt.Fprintln(w, "CONDITION\tFOR\tMESSAGE")
	now := c.now()
	for _, k := range status.Conditions {
		fmt.Fprintf(w, "%s\t%s\t%s\n", oneLine(string(k.Reason)), orDash(age(now, k.Since)), oneLine(k.Message))
	}
	return w.Flush()
}
