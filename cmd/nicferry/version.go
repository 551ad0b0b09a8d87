package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/version"
)

// versionCommand is "nicferry version".
type versionCommand struct {
	*app
	format string
}

func (v *versionCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Example: `  nicferry version
  nicferry version -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return v.print() },
	}
	cmd.Flags().StringVarP(&v.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (v *versionCommand) print() error {
	build := version.Get()
	switch v.format {
	case "json", "yaml":
		return encode(v.out, v.format, api.Version(build))
	case "text":
		commit := ""
		if build.Commit != "" {
			commit = " (" + build.Commit + ")"
		}
		_, err := fmt.Fprintf(v.out, "nicferry %s%s %s\n", build.Version, commit, build.Go)
		return err
	}
	return usagef("--output %q: want one of text, json, yaml", v.format)
}
