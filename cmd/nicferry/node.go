package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// nodeCommand is "nicferry node".
func nodeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Act on nodes",
		Example: `  nicferry node revoke vm3 --yes
  nicferry node remove vm3 --yes
  nicferry node forget vm3 --yes`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(forgetCommand(a), removeCommand(a), (&revokeCommand{nodeOrder: nodeOrder{app: a}}).command())
	return cmd
}

// A nodeOrder is a command on one node that only says what it would do, unless
// it is given --yes.
type nodeOrder struct {
	*app
	yes    bool
	format string
}

// build fills in what such commands share.
func (o *nodeOrder) build(cmd *cobra.Command, run func(ctx context.Context, node string) error) *cobra.Command {
	cmd.Args = oneName("the name of one node")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
		return o.complete(cmd, append([]string{"nodes"}, args...), part)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkFormat(o.format, "text"); err != nil {
			return err
		}
		return run(cmd.Context(), args[0])
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do it, and do not only say what it would do")
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

// show prints what an order has done or would do, and says so if it was not done.
func (o *nodeOrder) show(v any, table func(io.Writer), again string) error {
	if o.format != "text" {
		if err := encode(o.out, o.format, v); err != nil {
			return err
		}
	} else {
		w := newTable(o.out)
		table(w)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if !o.yes {
		return &api.Error{Code: api.CodeRefused, Message: "nothing was done; to do that: " + again + " --yes"}
	}
	return nil
}

// forgetCommand is "nicferry node forget".
func forgetCommand(a *app) *cobra.Command {
	o := &nodeOrder{app: a}
	return o.build(&cobra.Command{
		Use:   "forget NODE",
		Short: "Give up a node that is gone for good",
		Long: `Give up a node that is gone for good, with all that is reserved for it: its
claims end, its NICs are unplugged and deleted at their providers, its MACs and
addresses become free. Until then nothing of a silent node is used again.

Without --yes it only says what that would give up, and exits with 4. A node
that reports is refused. If the machine is alive after all, its containers go on
using what others may be given: be sure that it is off.`,
		Example: `  nicferry node forget vm3
  nicferry node forget vm3 --yes`,
	}, func(ctx context.Context, node string) error {
		return o.end(ctx, "forget", node, (*client.Client).ForgetNode)
	})
}

// removeCommand is "nicferry node remove".
func removeCommand(a *app) *cobra.Command {
	o := &nodeOrder{app: a}
	return o.build(&cobra.Command{
		Use:   "remove NODE",
		Short: "End a node that has no claims any more",
		Long: `End a node in good order, once none of its containers has a NIC any more: its
record goes, what is in reserve for it is unplugged and deleted, and its
certificates and tokens are void. A node with claims is refused, and the answer
says whose they are.

Without --yes it only says what that would remove, and exits with 4. A node that
is gone for good with its claims is for: nicferry node forget.`,
		Example: `  nicferry node remove vm3
  nicferry node remove vm3 --yes`,
	}, func(ctx context.Context, node string) error {
		return o.end(ctx, "remove", node, (*client.Client).RemoveNode)
	})
}

// end carries out an order that ends a node.
func (o *nodeOrder) end(ctx context.Context, verb, node string, call func(c *client.Client, ctx context.Context, node string, dryRun bool) (api.Forgotten, error)) error {
	var given api.Forgotten
	err := o.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		given, err = call(c, ctx, node, !o.yes)
		return err
	})
	if err != nil {
		return err
	}
	return o.show(given, func(w io.Writer) {
		fmt.Fprintln(w, "GIVEN-UP\tCONTAINER\tMAC\tADDRESSES")
		claimRows(w, "", given.Claims)
		nicRows(w, "", given.NICs)
		fmt.Fprintf(w, "node %s\t-\t-\t-\n", oneLine(node))
	}, "nicferry node "+verb+" "+node)
}

// claimRows and nicRows begin each line with first.
func claimRows(w io.Writer, first string, claims []api.GivenUp) {
	for _, c := range claims {
		fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\n", first, c.Claim, orDash(oneLine(c.Container)), orDash(c.Identity.MAC.String()), orDash(join(c.Identity.Addrs)))
	}
}

func nicRows(w io.Writer, first string, nics []nic.ID) {
	for _, id := range nics {
		fmt.Fprintf(w, "%s%s\t-\t-\t-\n", first, oneLine(string(id)))
	}
}
