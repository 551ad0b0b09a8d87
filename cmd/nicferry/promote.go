package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// promoteCommand is "nicferry promote".
type promoteCommand struct {
	nodeOrder
	all bool
}

func (p *promoteCommand) command() *cobra.Command {
	cmd := p.build(&cobra.Command{
		Use:   "promote CLAIM | --all",
		Short: "Give a container a VF that has none",
		Long: `Give a container a VF of its node's cards that fell back to something else, such as
a macvlan, when none was free. The claim is named by its id, or by its container's
name or id. Which ones fell back, "nicferry get claims -o wide" says.

The container keeps its addresses and its MAC; instead of an ipvlan, which has its
card's MAC, it gets one of its own. What it has is taken out first, as two links of
one MAC on one card get in each other's way, and then the VF is put in: in between,
a second or so, a container that runs has no network. Its connections outlive that.

Nothing is taken out while no VF is free. Should another container be faster in
between, this one gets back what it had, and may be promoted again.

With --all every claim that fell back is promoted that can have a VF, one after
another and who has waited for longest first, with a line for each; the others keep
what they have, and their line says why. --timeout is for each of them. At the first
one that does not come to rest in time it stops: that one is "going on", those after it
"not begun". It exits with 1 if one came to rest without a VF.

Without --yes it only says what it would do, and exits with 4. With it, it waits for
the outcome, at most as long as --timeout; what has begun goes on after that.`,
		Example: `  nicferry promote web
  nicferry promote web --yes
  nicferry promote --all --yes
  nicferry promote clm-0123456789abcdef --yes --timeout 1m`,
	}, p.run)
	cmd.Flags().BoolVar(&p.all, "all", false, "all claims that fell back, one after another")
	one := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if p.all {
			return p.runAll(cmd.Context())
		}
		return one(cmd, args)
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if p.all {
			return noArgs(cmd, args)
		}
		return oneName("the id of one claim, the name of its container, or --all")(cmd, args)
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
		return p.complete(cmd, append([]string{"claims"}, args...), part)
	}
	return cmd
}

func (p *promoteCommand) run(ctx context.Context, name string) error {
	var plan api.Promotion
	err := p.call(ctx, func(ctx context.Context, c *client.Client) error {
		id, err := fallenClaim(ctx, c, name)
		if err == nil {
			plan, err = c.Promote(ctx, id, !p.yes)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = p.show(plan, func(w io.Writer) { promotionRows(w, plan) }, "nicferry promote "+name)
	if err != nil {
		return err
	}
	return p.call(ctx, func(ctx context.Context, c *client.Client) error { return p.await(ctx, c, plan) })
}

// fallenClaim is the claim that is meant: of several that a container has, the one
// that fell back.
func fallenClaim(ctx context.Context, c *client.Client, name string) (nic.ClaimID, error) {
	found, _, err := findClaims(ctx, c, name)
	if err != nil {
		return "", err
	}
	fallen := slices.DeleteFunc(slices.Clone(found), func(t thing) bool { return !fellBack(t.(claim).ClaimView) })
	switch {
	case len(found) == 1:
		return found[0].(claim).ID, nil // the controller says why not
	case len(fallen) == 1:
		return fallen[0].(claim).ID, nil
	case len(fallen) == 0:
		return "", &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("none of the %d claims of container %s fell back", len(found), name)}
	}
	return "", usagef("%d claims of container %s fell back: name one by its id, such as %s", len(fallen), name, fallen[0].key())
}

func fellBack(c api.ClaimView) bool {
	return slices.ContainsFunc(c.Conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonFellBack })
}

func promotionRows(w io.Writer, p api.Promotion) {
	fmt.Fprintln(w, "CLAIM\tCONTAINER\tNODE\tHAS\tGETS\tMAC\tADDRESSES\tCUT-OFF")
	cut, mac := "-", p.Identity.MAC.String()
	if p.CutsOff {
		cut = "a second or so"
	}
	if p.OtherMAC {
		mac += " (new)"
	}
	addrs := join(p.Identity.Addrs)
	if addrs == "" {
		addrs = "-"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Claim, oneLine(p.Container), oneLine(p.Node), oneLine(p.Has), oneLine(p.Gets), mac, addrs, cut)
}

// lookAgain is how often a claim is looked at that waits for its VF.
const lookAgain = 250 * time.Millisecond

// A notPromoted claim has come to rest without a VF.
type notPromoted string

func (e notPromoted) Error() string { return string(e) }

// await waits until the claim has another NIC than the one that went, and says where
// that is no VF.
func (p *promoteCommand) await(ctx context.Context, c *client.Client, plan api.Promotion) error {
	fmt.Fprintf(p.err, "nicferry: waiting for %s\n", oneLine(plan.Gets))
	for {
		now, err := c.Claim(ctx, plan.Claim)
		switch {
		case err != nil:
			return err
		case now.Phase == nic.ClaimRefused:
			return notPromoted(fmt.Sprintf("claim %s is refused%s", plan.Claim, reasonOf(now)))
		case now.NIC == plan.NIC || now.NIC == "":
		case fellBack(now):
			return notPromoted(fmt.Sprintf("claim %s: another container was faster, and it has again what it fell back to", plan.Claim))
		case now.Phase == nic.ClaimBound || now.Phase == nic.ClaimReady && !plan.CutsOff:
			fmt.Fprintf(p.err, "nicferry: container %s has %s\n", oneLine(plan.Container), oneLine(plan.Gets))
			return nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("claim %s is %s%s; it goes on by itself: nicferry describe claims %s", plan.Claim, now.Phase, reasonOf(now), plan.Claim), ctx.Err())
		}
	}
}

func reasonOf(c api.ClaimView) string {
	if len(c.Conditions) == 0 {
		return ""
	}
	return ": " + oneLine(c.Conditions[0].Message)
}
