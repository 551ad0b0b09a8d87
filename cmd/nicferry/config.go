package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/conf"
)

func configCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Work with config files",
		Example: "  nicferry config check /etc/nicferry/nicferryd.yaml",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand((&configCheckCommand{app: a}).command())
	return cmd
}

// configCheckCommand is "nicferry config check".
type configCheckCommand struct {
	*app
	agent bool
}

func (c *configCheckCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a config file",
		Long: `Say everything that is wrong with a config file, with file and line. Nothing is
started and nothing is asked of the controller. Exit code 2 if there are faults.`,
		Example: `  nicferry config check /etc/nicferry/nicferryd.yaml
  nicferry config check --agent /etc/nicferry/agent.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one file, got %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.check(args[0]) },
	}
	cmd.Flags().BoolVar(&c.agent, "agent", false, "the file is an agent's and not the controller's")
	return cmd
}

func (c *configCheckCommand) check(path string) error {
	var warnings []conf.Fault
	controller := func() error {
		read, err := conf.LoadController(path)
		if err == nil {
			warnings = read.Warnings
		}
		return err
	}
	agent := func() error { _, err := conf.LoadAgent(path); return err }
	load, other, hint := controller, agent, "an agent's config: check it with --agent"
	if c.agent {
		load, other, hint = agent, controller, "a controller's config: check it without --agent"
	}
	err := load()
	if err != nil && other() == nil {
		return usagef("%s: is %s", path, hint)
	}
	faults := conf.AsFaults(err)
	for _, f := range faults {
		fmt.Fprintln(c.err, oneLine(f.Error()))
	}
	if len(faults) > 0 {
		return faultyError{faults}
	}
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(c.err, oneLine("warning: "+w.Error()))
	}
	fmt.Fprintf(c.out, "%s: ok\n", clean(path))
	return nil
}

// faultyError sums up faults that have been told already.
type faultyError struct{ faults conf.Faults }

func (e faultyError) Error() string {
	if len(e.faults) == 1 {
		return "1 fault"
	}
	return fmt.Sprintf("%d faults", len(e.faults))
}

func (e faultyError) Unwrap() error { return e.faults }
