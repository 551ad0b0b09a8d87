package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
)

// planCommand is "nicferry plan".
type planCommand struct {
	*app
	kind, format string
}

func (p *planCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan NETWORK",
		Short: "Say how many containers a network's machines can hold, and what a start costs",
		Long: `Say how many containers each node can hold on a network, or a machine of a type,
what is used up first, and which calls the start of a container costs at the
provider. Nothing is made. Looks at the provider are not among the calls: those who
wait at the same time share them.

What other machines take of the network's addresses meanwhile is not foreseen.`,
		Example: `  nicferry plan lab
  nicferry plan vpc --type m5.large
  nicferry plan vpc -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one network, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.plan(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&p.kind, "type", "", "plan for a machine of this `type`, such as m5.large, and not for the nodes")
	cmd.Flags().StringVarP(&p.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (p *planCommand) plan(ctx context.Context, network string) error {
	if err := checkFormat(p.format, "text"); err != nil {
		return err
	}
	var plan api.NetworkPlan
	err := p.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		plan, err = c.PlanNetwork(ctx, network, p.kind)
		return err
	})
	if err != nil {
		return err
	}
	if p.format != "text" {
		return encode(p.out, p.format, plan)
	}
	return p.print(plan)
}

func (p *planCommand) print(plan api.NetworkPlan) error {
	s := &sheet{now: p.now()}
	s.field("Network", plan.Network)
	s.field("Provider", fmt.Sprintf("%s, of kind %s", plan.Provider, plan.Kind))
	cold, warm := starts(plan)
	s.field("Cold start", cold)
	s.field("Warm start", warm)
	if err := s.flush(p.out); err != nil {
		return err
	}
	fmt.Fprintln(p.out)
	w := newTable(p.out)
	fmt.Fprintln(w, "MACHINE\tHELD\tHOLDS\tFIRST-USED-UP\tROOM")
	for _, m := range plan.Machines {
		name, holds, first := m.Node, strconv.Itoa(m.Holds), m.First
		if m.Type != "" {
			name = m.Type
		}
		switch {
		case m.Problem != "":
			holds, first = "", m.Problem
		case len(m.Bounds) == 0:
			holds = ""
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", oneLine(name), m.Held, orDash(holds), orDash(oneLine(first)), orDash(oneLine(roomText(m.Bounds))))
	}
	return w.Flush()
}

// starts say what the start of a container costs, and when it costs nothing.
func starts(plan api.NetworkPlan) (cold, warm string) {
	cold = fmt.Sprintf("%d calls: %s", len(plan.Cold), strings.Join(plan.Cold, ", "))
	warm = "no call, but none is in reserve; give the network a pool"
	if plan.Reserve.Max > 0 {
		warm = fmt.Sprintf("no call; in reserve on each node: %d to %d", plan.Reserve.Min, plan.Reserve.Max)
	}
	if !plan.Shared {
		return cold, warm
	}
	cold += ", for the first container on a NIC"
	if plan.Reserve.Max == 0 {
		return cold, "no call, where a NIC has a seat left; none is in reserve beside"
	}
	return cold, "no call, where a NIC has a seat left; NICs " + strings.TrimPrefix(warm, "no call; ")
}

// roomText is for how many more there is what.
func roomText(bounds []api.Bound) string {
	var texts []string
	for _, b := range bounds {
		texts = append(texts, fmt.Sprintf("%s: %d", b.What, b.Room))
	}
	return strings.Join(texts, "; ")
}
