package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
)

// revokeCommand is "nicferry node revoke".
type revokeCommand struct {
	nodeOrder
	seize bool
}

func (r *revokeCommand) command() *cobra.Command {
	cmd := r.build(&cobra.Command{
		Use:   "revoke NODE",
		Short: "Take a node's trust away",
		Long: `Take a node's trust away: its certificates and tokens are void, and nothing that
its agent says is taken any more. Its containers keep their NICs, and all that is
reserved for them stays so.

With --seize, NICs that a provider can take out by itself, as hypervisors and
clouds can, are unplugged and deleted with their claims. What only the node could
give back stays reserved, until: nicferry node forget.

Without --yes it only says what would become of what, and exits with 4. To have
the node back: nicferry token create --node NODE, and nicferry-agent join --force there.`,
		Example: `  nicferry node revoke vm3
  nicferry node revoke vm3 --yes
  nicferry node revoke vm3 --seize --yes`,
	}, r.run)
	cmd.Flags().BoolVar(&r.seize, "seize", false, "also unplug and delete what providers can take out by themselves")
	return cmd
}

func (r *revokeCommand) run(ctx context.Context, node string) error {
	var verdict api.Revoked
	err := r.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		verdict, err = c.RevokeNode(ctx, node, r.seize, !r.yes)
		return err
	})
	if err != nil {
		return err
	}
	again := "nicferry node revoke " + node
	if r.seize {
		again += " --seize"
	}
	return r.show(verdict, func(w io.Writer) {
		fmt.Fprintln(w, "BECOMES\tWHAT\tCONTAINER\tMAC\tADDRESSES")
		claimRows(w, "given-up\t", verdict.Claims)
		nicRows(w, "given-up\t", verdict.NICs)
		claimRows(w, "kept\t", verdict.Kept)
		nicRows(w, "kept\t", verdict.KeptNICs)
		fmt.Fprintf(w, "revoked\tnode %s\t-\t-\t-\n", oneLine(node))
	}, again)
}
