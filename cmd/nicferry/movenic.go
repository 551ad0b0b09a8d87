package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/nic"
)

// moveNICCommand is "nicferry move-nic".
type moveNICCommand struct{ migrateCommand }

func (m *moveNICCommand) command() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "move-nic CONTAINER --to NODE/STANDBY",
		Short: "Move a container's network cards to a container that runs on another node",
		Long: `Move the network cards of a running container to a stand-by that runs on another
node already, with the same MACs and addresses. Neither container is stopped: that
of before goes on without them. The stand-by runs with --network none and no label
of nicferry's.

If a step fails before the point of no return, the cards are put back; after it
the move only goes on. To follow, resume or abort it: nicferry migrate --watch,
--resume or --abort with its id. Exit codes are those of nicferry migrate.`,
		Example: `  nicferry move-nic web --to vm2/web-standby
  nicferry move-nic web --to vm2/web-standby --dry-run`,
		ValidArgsFunction: m.completeContainer,
		Args:              oneName("the name of one container"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.prepare(cmd); err != nil {
				return err
			}
			node, standby, ok := strings.Cut(to, "/")
			if !ok || node == "" || standby == "" {
				return usagef("--to %q: want the node and its stand-by container, such as vm2/web-standby", to)
			}
			m.request.Kind, m.request.Container, m.request.To, m.request.Target = nic.MoveNIC, args[0], node, standby
			return m.move(cmd.Context())
		},
	}
	m.shared(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the node and the `container` there that is to have them: NODE/STANDBY")
	// Fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("to", func(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
		names, _ := m.completeNodes(cmd, args, part)
		for i := range names {
			names[i] += "/"
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
	return cmd
}
