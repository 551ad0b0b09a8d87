//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/guest"
)

func execCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "exec NODE -- COMMAND [ARG...]",
		Short: "Run a command in a virtual machine, on the host or on the LAN",
		Long: `exec runs a command in a virtual machine of the lab (vm1, vm2 …), on the machine
that they run on (host), or on the LAN beside the router (lan). Its exit status
is the command's.`,
		Example: `  nicferry-lab exec vm1 -- docker ps
  nicferry-lab exec host -- virsh list --all
  nicferry-lab exec lan -- ping -c 3 10.77.0.100`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(withoutDashes(args)) < 2 {
				return daemon.UsageError{Err: errors.New("want a node and a command, such as: exec vm1 -- docker ps")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			args = withoutDashes(args)
			lab, err := cluster.Find(cmd.Context(), dir)
			if err != nil {
				return hint(err)
			}
			err = run(cmd, lab, args[0], args[1:])
			return errors.Join(err, lab.Close())
		},
	}
	cmd.Flags().SetInterspersed(false)
	dirFlag(cmd, &dir)
	return cmd
}

// withoutDashes drops the -- between node and command, which may be left out.
func withoutDashes(args []string) []string {
	if len(args) > 1 && args[1] == "--" {
		return append(args[:1:1], args[2:]...)
	}
	return args
}

func run(cmd *cobra.Command, lab *cluster.Cluster, node string, args []string) error {
	if node == "host" || node == cluster.LAN {
		if node == cluster.LAN {
			args = append([]string{"ip", "netns", "exec", cluster.LAN}, args...)
		}
		c := lab.Host().Command(cmd.Context(), args[0], args[1:]...)
		c.Env = append(c.Env, "LIBVIRT_DEFAULT_URI="+lab.Host().URI(), "NICFERRY_CONTROLLER=unix://"+lab.Socket())
		c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
		err := c.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return daemon.StatusError{Code: exit.ExitCode()}
		}
		return err
	}
	n, err := lab.Node(node)
	if err != nil {
		return fmt.Errorf("%w, host and %s", err, cluster.LAN)
	}
	c := n.Command(cmd.Context(), args...)
	if in, ok := cmd.InOrStdin().(*os.File); !ok || !isTerminal(in) {
		c.Stdin = cmd.InOrStdin() // a terminal would keep the command from ending
	}
	c.Stdout, c.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	err = c.Run()
	var exit *guest.ExitError
	if errors.As(err, &exit) && exit.Signal == "" {
		return daemon.StatusError{Code: exit.Code}
	}
	return err
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Name() != "null"
}

func logsCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "logs NODE",
		Short: "Print a node's logs: its agent's and its console's, or the controller's",
		Example: `  nicferry-lab logs vm1
  nicferry-lab logs host`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return daemon.UsageError{Err: errors.New("want one node, such as: logs vm1")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			lab, err := cluster.Find(cmd.Context(), dir)
			if err != nil {
				return hint(err)
			}
			return errors.Join(lab.Logs(cmd.Context(), args[0], cmd.OutOrStdout()), lab.Close())
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}
