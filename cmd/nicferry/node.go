package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
)

// nodeCommand is "nicferry node".
func nodeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "Act on nodes",
		Example: "  nicferry node forget vm3 --yes",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand((&forgetCommand{app: a}).command())
	return cmd
}

// forgetCommand is "nicferry node forget".
type forgetCommand struct {
	*app
	yes    bool
	format string
}

func (f *forgetCommand) command() *cobra.Command {
	cmd := &cobra.Command{
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
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usagef("want the name of one node, got %q", args)
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
			return f.complete(cmd, append([]string{"nodes"}, args...), part)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do it, and do not only say what it would give up")
	cmd.Flags().StringVarP(&f.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (f *forgetCommand) run(ctx context.Context, node string) error {
	if f.format != "text" && f.format != "json" && f.format != "yaml" {
		return usagef("--output %q: want one of text, json, yaml", f.format)
	}
	var given api.Forgotten
	err := f.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		given, err = c.ForgetNode(ctx, node, !f.yes)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.print(given); err != nil {
		return err
	}
	if !f.yes {
		return &api.Error{Code: api.CodeRefused, Message: "nothing was done; to give that up: nicferry node forget " + given.Node + " --yes"}
	}
	return nil
}

func (f *forgetCommand) print(given api.Forgotten) error {
	if f.format != "text" {
		return encode(f.out, f.format, given)
	}
	w := newTable(f.out)
	fmt.Fprintln(w, "GIVEN-UP\tCONTAINER\tMAC\tADDRESSES")
	for _, c := range given.Claims {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Claim, orDash(oneLine(c.Container)), orDash(c.Identity.MAC.String()), orDash(join(c.Identity.Addrs)))
	}
	for _, id := range given.NICs {
		fmt.Fprintf(w, "%s\t-\t-\t-\n", oneLine(string(id)))
	}
	fmt.Fprintf(w, "node %s\t-\t-\t-\n", oneLine(given.Node))
	return w.Flush()
}
