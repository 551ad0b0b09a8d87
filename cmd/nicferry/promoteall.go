package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// What became of one of many promotions.
const (
	outcomePromoted = "promoted"
	outcomeCan      = "can be promoted"
	outcomeKept     = "kept" // it has what it had, as the controller refuses
	outcomeFailed   = "failed"
)

// A promoted claim is one of many that fell back, and what became of it.
type promoted struct {
	api.Promotion
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

// runAll promotes all claims that fell back, one after another: what one takes out
// is in again before the next one's is. Those that have waited for longest are first.
func (p *promoteCommand) runAll(ctx context.Context) error {
	if err := checkFormat(p.format, "text"); err != nil {
		return err
	}
	var fallen []api.ClaimView
	err := p.call(ctx, func(ctx context.Context, c *client.Client) error {
		claims, err := c.Claims(ctx)
		fallen = slices.DeleteFunc(claims, func(c api.ClaimView) bool { return !fellBack(c) })
		return err
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(fallen, func(a, b api.ClaimView) int { return cmp.Or(fellAt(a).Compare(fellAt(b)), cmp.Compare(a.ID, b.ID)) })
	all, failed := make([]promoted, 0, len(fallen)), 0
	for _, view := range fallen {
		one, err := p.promoteOne(ctx, view)
		if err != nil && one.Outcome == "" { // nobody answers, or Ctrl-C: the others keep what they have
			return errors.Join(p.tellAll(all), err)
		}
		if one.Outcome == outcomeFailed {
			failed++
		}
		all = append(all, one)
		if p.yes && p.format == "text" {
			tellOne(p.out, one)
		}
	}
	if err := p.tellAll(all); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d promotions failed", failed, len(all))
	}
	return nil
}

// promoteOne promotes one claim and waits for the outcome, or says what would be.
// Where there is no outcome nothing more can be done for any.
func (p *promoteCommand) promoteOne(ctx context.Context, view api.ClaimView) (promoted, error) {
	one := promoted{Promotion: api.Promotion{
		Claim: view.ID, Container: view.Container, Node: view.Owner.Node, Network: view.Request.Network, NIC: view.NIC, Identity: view.Identity,
	}}
	err := p.call(ctx, func(ctx context.Context, c *client.Client) error {
		plan, err := c.Promote(ctx, view.ID, !p.yes)
		switch {
		case api.IsRefused(err) || api.IsNotFound(err):
			one.Outcome, one.Why = outcomeKept, err.Error()
			return nil
		case err != nil:
			return err
		}
		one.Promotion, one.Outcome = plan, outcomeCan
		if !p.yes {
			return nil
		}
		one.Outcome = outcomePromoted
		if err := p.await(ctx, c, plan); err != nil {
			one.Outcome, one.Why = outcomeFailed, err.Error()
		}
		return nil
	})
	if ctx.Err() != nil {
		err = ctx.Err()
		one.Outcome = ""
	}
	return one, err
}

// tellAll prints what has not been told line by line, and says so if nothing was done.
func (p *promoteCommand) tellAll(all []promoted) error {
	switch {
	case p.format != "text":
		if err := encode(p.out, p.format, api.NewList(all, "")); err != nil {
			return err
		}
	case len(all) == 0:
		fmt.Fprintln(p.err, "nicferry: no claim has what its network fell back to")
	case !p.yes:
		for _, one := range all {
			tellOne(p.out, one)
		}
	}
	if can := func(one promoted) bool { return one.Outcome == outcomeCan }; !p.yes && slices.ContainsFunc(all, can) {
		return &api.Error{Code: api.CodeRefused, Message: "nothing was done; to do that: nicferry promote --all --yes"}
	}
	return nil
}

func tellOne(w io.Writer, one promoted) {
	text := fmt.Sprintf("%s %s on %s: ", one.Claim, orDash(one.Container), one.Node)
	switch one.Outcome {
	case outcomePromoted:
		text += fmt.Sprintf("has %s for %s", one.Gets, one.Has)
	case outcomeCan:
		text += fmt.Sprintf("would get %s for %s", one.Gets, one.Has)
		if one.CutsOff {
			text += ", and have no network for a second or so"
		}
	default:
		text += one.Outcome + ": " + one.Why
	}
	fmt.Fprintln(w, oneLine(text))
}

// fellAt is since when a claim has what its network fell back to.
func fellAt(c api.ClaimView) (since time.Time) {
	for _, condition := range c.Conditions {
		if condition.Reason == nic.ReasonFellBack {
			return condition.Since
		}
	}
	return since
}
