package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// completeContainer offers the names of containers that have claims.
func (a *app) completeContainer(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeThings(cmd, claimKind(), func(t thing) string { return t.(claim).Container })
}

func (a *app) completeNodes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.completeThings(cmd, nodeKind(), thing.key)
}

// completeMoves offers the moves that are not over.
func (a *app) completeMoves(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.completeThings(cmd, moveKind(), func(t thing) string {
		if t.(move).Phase.Over() {
			return ""
		}
		return t.key()
	})
}

// completeThings offers a name of each thing; empty is none.
func (a *app) completeThings(cmd *cobra.Command, k kind, name func(thing) string) ([]string, cobra.ShellCompDirective) {
	found, _, err := a.fetch(cmd.Context(), k, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, t := range found {
		if n := clean(name(t)); n != "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}
