//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs"
)

// sriovCommand looks at this machine's cards and cuts them. opts are those of its
// sysfs, and name gives VFs' interfaces their names.
func sriovCommand(opts sysfs.Options, name namer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sriov",
		Short: "Cut this machine's cards into virtual functions",
		Long: `A network card with SR-IOV, a PF, can be cut into virtual functions, VFs, each of
which a container may have as a card of its own. The agent uses those that are
there; these commands show and make them.`,
		Example: `  nicferry-agent sriov list
  nicferry-agent sriov enable ens1f0 --vfs 16 --dry-run
  nicferry-agent sriov enable ens1f0 --vfs 16
  nicferry-agent sriov enable --config /etc/nicferry/agent.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return daemon.UsageError{Err: fmt.Errorf("unknown command %q; see nicferry-agent sriov --help", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(sriovListCommand(opts), sriovEnableCommand(opts, name))
	return cmd
}

func sriovListCommand(opts sysfs.Options) *cobra.Command {
	var format, config string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List this machine's cards with SR-IOV, their VFs, and who has them",
		Long: `list shows the cards that can be cut and the VFs that they have, with the names
that VFs go by in nicferry: VF12 is the second VF of card PF1. Cards are numbered as
the agent's config lists them, and then by PCI address. Who has a VF in another
network namespace is told to root alone.

Exit codes: 0 ok, 1 failed, 2 wrong use.`,
		Example: `  nicferry-agent sriov list
  nicferry-agent sriov list -o json`,
		Args: noMore("nicferry-agent sriov list"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return daemon.UsageError{Err: fmt.Errorf("-o %s: want table or json", format)}
			}
			pfs, err := sysfs.New(opts).List()
			if err != nil && pfs == nil {
				return err
			}
			if err != nil { // the rest is good
				fmt.Fprintf(cmd.ErrOrStderr(), "%v\n", err)
			}
			var numbering sriov.Numbering
			if c, err := agentConfig(config, cmd.Flags().Changed("config")); err == nil {
				numbering = c.SRIOV.Numbering()
			} else { // which is not what was asked for
				fmt.Fprintf(cmd.ErrOrStderr(), "VFs are named as without a config: %v\n", err)
			}
			if format == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(api.NewList(pfs, ""))
			}
			return printCards(cmd.OutOrStdout(), pfs, numbering)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&config, "config", conf.AgentPath, "the agent's config, for the cards' numbers")
	return cmd
}

func noMore(command string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return daemon.UsageError{Err: fmt.Errorf("unknown argument %q; see %s --help", args[0], command)}
		}
		return nil
	}
}

// printCards writes a row for each card and each of its VFs.
func printCards(out io.Writer, pfs []sriov.PF, numbering sriov.Numbering) error {
	if len(pfs) == 0 {
		_, err := fmt.Fprintln(out, "no card with SR-IOV; nicferry doctor says more of this machine")
		return err
	}
	names, err := numbering.Names(pfs)
	if err != nil {
		return err
	}
	numbers := numbering.Number(pfs)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "CARD\tPCI\tINTERFACE\tDRIVER\tNUMA\tIOMMU\tLINK\tSTATE")
	for _, pf := range pfs {
		state := fmt.Sprintf("%d of %d VFs", pf.NumVFs, pf.TotalVFs)
		if pf.NumVFs > 0 && !pf.Ours {
			state += ", made by others"
		}
		row(w, fmt.Sprintf("PF%d", numbers[pf.Address]), pf.Address, pf.Name, pf.Driver, pf.NUMA, pf.Group, linkWord(pf.Link), state)
		for _, vf := range pf.VFs {
			row(w, names[vf.Address], vf.Address, vf.Name, vf.Driver, vf.NUMA, vf.Group, linkWord(vf.Link), vf.Use.String())
		}
	}
	return w.Flush()
}

func row(w io.Writer, name string, at sriov.Address, link, driver string, numa, group int, state, use string) {
	cells := []string{name, string(at), link, driver, orNone(numa), orNone(group), state, use}
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func orNone(n int) string {
	if n == sriov.None {
		return "-"
	}
	return fmt.Sprint(n)
}

func linkWord(l sriov.Link) string {
	word := "down"
	switch {
	case l.Carrier && l.Mbps > 0:
		word = fmt.Sprintf("%d Mbit/s", l.Mbps)
	case l.Carrier:
		word = "up"
	case l.Up:
		word = "no carrier"
	}
	if l.Promisc {
		word += ", promiscuous"
	}
	return word
}

// sriovCoded gives an error its exit code. Of several faults the one counts that says
// least about the cards.
func sriovCoded(all ...error) error {
	codes := map[int]bool{}
	for _, err := range all {
		if err != nil {
			codes[sriovCode(err)] = true
		}
	}
	err := errors.Join(all...)
	for _, code := range []int{daemon.ExitFailed, daemon.ExitTimedOut, daemon.ExitRefused} {
		if codes[code] {
			return daemon.CodedError{Code: code, Err: err}
		}
	}
	return err
}

func sriovCode(err error) int {
	refused := []error{
		sysfs.ErrBusy, sysfs.ErrForeign, sysfs.ErrNoRoom, sysfs.ErrUnsupported, sysfs.ErrDenied,
	}
	switch {
	case slices.ContainsFunc(refused, func(kind error) bool { return errors.Is(err, kind) }):
		return daemon.ExitRefused
	case errors.Is(err, sysfs.ErrLate):
		return daemon.ExitTimedOut
	}
	return daemon.ExitFailed
}
