//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs"
)

// agentConfig reads how VFs are named; without a file its defaults, unless it was asked
// for.
func agentConfig(config string, asked bool) (*conf.Agent, error) {
	c, err := conf.LoadAgent(config)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return &conf.Agent{RunDir: conf.DefaultRunDir}, nil
	}
	return c, err
}

func sriovEnableCommand(opts sysfs.Options, name namer) *cobra.Command {
	var e enabling
	var vfs int
	cmd := &cobra.Command{
		Use:   "enable PF --vfs N | --config FILE",
		Short: "See to it that a card has so many VFs, or all cards that a config lists",
		Long: `enable cuts a card into N VFs, or into as many as it can have, waits for their
interfaces, and names those: VF12 is the second VF of the first card. PF is the name
of the card's interface, or its PCI address. The card's interface is switched on
first. Where the card has N VFs already nothing is done. Without a card it does so
for all that sriov: {cards: […]} of the agent's config lists, each whatever becomes
of the others.

The kernel changes the number of VFs only by removing all of them. That is done
only if nobody uses one, and nicferry has made them: who uses them is told
otherwise, and VFs of others stay as they are and are used. A reboot takes all VFs
away: the unit nicferry-sriov.service runs this at each boot, before the agent starts.

A VF's interface keeps the name that it had as an alternative name. One that somebody
uses keeps it as its name.

Exit codes: 0 the VFs are there, 1 failed, 2 wrong use, 4 refused: they are in use,
or others made them, or the card cannot have them, 5 they did not come in time.`,
		Example: `  nicferry-agent sriov enable ens1f0 --vfs 16
  nicferry-agent sriov enable 0000:03:00.0 --vfs 63 --dry-run
  nicferry-agent sriov enable --config /etc/nicferry/agent.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			all := len(args) == 0 && cmd.Flags().Changed("config") && !cmd.Flags().Changed("vfs")
			if len(args) != 1 && !all {
				return daemon.UsageError{Err: fmt.Errorf("want one card with --vfs N, or --config FILE for all that it lists, got %d arguments; see nicferry-agent sriov enable --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cards, err := e.cards(args, vfs, cmd.Flags().Changed("vfs"), cmd.Flags().Changed("config"))
			if err != nil {
				return daemon.UsageError{Err: err}
			}
			opts.Told = func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step) }
			e.tree, e.name, e.out, e.progress = sysfs.New(opts), name, cmd.OutOrStdout(), cmd.ErrOrStderr()
			if e.dry {
				return e.would(cards)
			}
			return e.all(cmd.Context(), cards)
		},
	}
	cmd.Flags().IntVar(&vfs, "vfs", 0, "how many VFs the card is to have; required with a card")
	cmd.Flags().StringVar(&e.config, "config", conf.AgentPath, "the agent's config, for its cards, and for how VFs are named")
	cmd.Flags().BoolVar(&e.dry, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

// enabling is one run of the command.
type enabling struct {
	config        string
	dry           bool
	conf          *conf.Agent
	tree          *sysfs.Tree
	name          namer
	out, progress io.Writer
}

// cards are those that are asked for.
func (e *enabling) cards(args []string, vfs int, counted, configured bool) (cards []conf.Card, err error) {
	if len(args) == 1 {
		if !counted || vfs < 0 {
			return nil, errors.New("want --vfs N, the number of VFs that the card is to have, 0 or more")
		}
		e.conf, err = agentConfig(e.config, configured)
		return []conf.Card{{PF: args[0], VFs: vfs}}, err
	}
	if e.conf, err = agentConfig(e.config, true); err != nil {
		return nil, err
	}
	// 0 leaves their number to others.
	return slices.DeleteFunc(slices.Clone(e.conf.SRIOV.Cards), func(card conf.Card) bool { return card.VFs == 0 }), nil
}

// would prints the commands that do by hand what enable would.
func (e *enabling) would(cards []conf.Card) error {
	var faults []error
	for _, card := range cards {
		p, err := e.tree.Plan(card.PF, card.VFs)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if p.Nothing() {
			fmt.Fprintf(e.out, "nothing to do: %s has %d VFs\n", p.PF.Label(), p.PF.NumVFs)
		}
		for _, step := range p.Steps() {
			fmt.Fprintln(e.out, step)
		}
		for _, note := range p.Notes {
			fmt.Fprintln(e.out, "# "+note)
		}
	}
	e.nothing(cards)
	return sriovCoded(faults...)
}

func (e *enabling) nothing(cards []conf.Card) {
	if len(cards) == 0 {
		fmt.Fprintf(e.out, "nothing to make: %s lists no card with vfs\n", e.config)
	}
}

// all cuts each card, whatever becomes of the others, and names all VFs.
func (e *enabling) all(ctx context.Context, cards []conf.Card) error {
	if os.Geteuid() != 0 {
		return daemon.UsageError{Err: errors.New("changing the number of VFs needs root; --dry-run does not")}
	}
	var faults []error
	done := map[sriov.Address]string{}
	for _, card := range cards {
		pf, notes, err := e.tree.Enable(ctx, card.PF, card.VFs)
		for _, note := range notes {
			fmt.Fprintln(e.progress, note)
		}
		switch twice := done[pf.Address]; {
		case err != nil:
			faults = append(faults, err)
			continue
		case twice != "":
			faults = append(faults, fmt.Errorf("%s and %s are one card; list it once, as its VFs' names follow from its place in the list", twice, card.PF))
			continue
		}
		done[pf.Address] = card.PF
		fmt.Fprintf(e.out, "%s has %d VFs\n", pf.Label(), pf.NumVFs)
	}
	e.nothing(cards)
	r, err := e.name(ctx, e.conf.RunDir, e.tree.List, e.conf.SRIOV.Numbering())
	for _, kept := range r.Kept {
		fmt.Fprintln(e.progress, kept)
	}
	if r.Named > 0 {
		fmt.Fprintf(e.progress, "%d VFs have got their names\n", r.Named)
	}
	return sriovCoded(append(faults, err)...)
}
