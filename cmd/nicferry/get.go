package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api/client"
)

// getCommand is "nicferry get".
type getCommand struct {
	*app
	format    string
	noHeaders bool
}

func (g *getCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get " + strings.Join(kindNames(), "|") + " [NAME]",
		Short: "List nodes, NICs, claims, networks or moves",
		Long: `List nodes, NICs, claims, networks or moves, or show the named one.

A claim is named by its id, or by its container's name or id; a container may
have several. A move is named by its id, or by its container's name, which stands for
the newest move of it. In a PHASE such as refused:AddressTaken the second word is the
newest condition; -o wide and describe have it in full. JSON and YAML are the
API's objects, in {items: […]} unless one was named by its own name or id.`,
		Example: `  nicferry get claims
  nicferry get claims web -o wide
  nicferry get nics nic-0123456789abcdef -o yaml
  nicferry get networks -o json
  nicferry get moves -o wide
  nicferry get nodes -o name`,
		Args:              oneKindAnd(0, 1),
		ValidArgsFunction: g.complete,
		RunE:              func(cmd *cobra.Command, args []string) error { return g.get(cmd.Context(), args) },
	}
	cmd.Flags().StringVarP(&g.format, "output", "o", "table", "the `format`: "+strings.Join(formats(), ", "))
	cmd.Flags().BoolVar(&g.noHeaders, "no-headers", false, "leave out the first line of a table")
	// Fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (g *getCommand) get(ctx context.Context, args []string) error {
	if !slices.Contains(formats(), g.format) {
		return usagef("--output %q: want one of %s", g.format, strings.Join(formats(), ", "))
	}
	k, err := kindOf(args[0])
	if err != nil {
		return err
	}
	found, single, err := g.fetch(ctx, k, args[1:])
	if err != nil {
		return err
	}
	table := g.format == "table" || g.format == "wide"
	if len(found) == 0 && table {
		fmt.Fprintf(g.err, "No %s.\n", k.name)
		return nil
	}
	p := &printer{out: g.out, format: g.format, noHeaders: g.noHeaders, now: g.now()}
	return p.print(k, found, single)
}

// fetch gets the named things, or all.
func (a *app) fetch(ctx context.Context, k kind, names []string) (found []thing, single bool, err error) {
	err = a.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		if len(names) == 0 {
			found, err = k.list(ctx, c)
		} else {
			found, single, err = k.find(ctx, c, names[0])
		}
		return err
	})
	return found, single, err
}

// complete offers kinds and then names.
func (a *app) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const rest = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 0 {
		return kindNames(), rest
	}
	k, err := kindOf(args[0])
	if err != nil || len(args) > 1 {
		return nil, rest
	}
	found, _, err := a.fetch(cmd.Context(), k, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, t := range found {
		names = append(names, clean(t.key()))
	}
	return names, rest
}

// oneKindAnd wants a kind and between least and most names.
func oneKindAnd(least, most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("want a kind: one of %s", strings.Join(kindNames(), ", "))
		}
		kind, err := kindOf(args[0])
		if err != nil {
			return err
		}
		switch {
		case len(args)-1 < least:
			return usagef("want the name of one of the %s", kind.name)
		case len(args)-1 > most:
			return usagef("want one name, got %d", len(args)-1)
		case slices.Contains(args, ""):
			return usagef("the name is empty")
		}
		return nil
	}
}
