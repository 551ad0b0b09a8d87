package main

import "github.com/spf13/cobra"

// noSuchCommand is for commands that only hold others.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
}

// checkFormat wants one of the formats of data, or the one for people.
func checkFormat(format, people string) error {
	if format != people && format != "json" && format != "yaml" {
		return usagef("--output %q: want one of %s, json, yaml", format, people)
	}
	return nil
}

// noArgs is for commands about everything.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("want no arguments, got %q", args)
	}
	return nil
}

// oneName is for commands about one thing.
func oneName(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usagef("want %s, got %q", what, args)
		}
		return nil
	}
}
