package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
	outcomeKept     = "kept"     // it has what it had, as the controller refuses
	outcomeFailed   = "failed"   // it is at rest, without a VF
	outcomeGoingOn  = "going on" // it has begun, or may have, and nobody has seen it come to rest
	outcomeNotBegun = "not begun"
)

// A promoted claim is one of many that fell back, and what became of it.
type promoted struct {
	api.Promotion
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

// runAll promotes all claims that fell back, one after another: what one takes out
// is in again before the next one's is. Those that have waited for longest are first.
// It stops where one does not come to rest, since what keeps that one without a network
// would keep the next one so too.
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
	all := make([]promoted, 0, len(fallen))
	var stopped error
	for i, view := range fallen {
		one := notBegun(view)
		if stopped == nil {
			if stopped = p.promoteOne(ctx, view, &one); stopped != nil {
				stopped = fmt.Errorf("claim %s: %w", view.ID, stopped)
				if rest := len(fallen) - i - 1; rest > 0 {
					stopped = fmt.Errorf("stopped, with %d more not begun: %w", rest, stopped)
				}
			}
		}
		all = append(all, one)
		if p.yes && p.format == "text" {
			tellOne(p.out, one)
		}
	}
	return cmp.Or(p.tellAll(all), stopped, p.verdict(all))
}

func notBegun(view api.ClaimView) promoted {
	return promoted{Outcome: outcomeNotBegun, Promotion: api.Promotion{
		Claim: view.ID, Container: view.Container, Node: view.Owner.Node, Network: view.Request.Network, NIC: view.NIC, Identity: view.Identity,
	}}
}

// promoteOne promotes one claim and waits for the outcome, or says what would be. An
// error is why no other may be begun after it.
func (p *promoteCommand) promoteOne(ctx context.Context, view api.ClaimView, one *promoted) error {
	return p.call(ctx, func(ctx context.Context, c *client.Client) error {
		plan, err := p.begin(ctx, c, view.ID)
		said, _ := errors.AsType[*api.Error](err)
		switch {
		case said != nil && said.Claim != "" && (api.IsRefused(said) || api.IsNotFound(said) || later(said)):
			one.Outcome, one.Why = outcomeKept, said.Message
			if p.yes && later(said) { // its turn has not come in time
				return err
			}
			return nil
		case err != nil && said == nil && p.yes:
			one.Outcome, one.Why = outcomeGoingOn, "no answer came, so it may have begun: "+err.Error()
			return err
		case err != nil: // of whoever asks, or of the controller: the next one would fare no better
			return err
		}
		one.Promotion, one.Outcome = plan, outcomeCan
		if !p.yes {
			return nil
		}
		one.Outcome = outcomePromoted
		err = p.await(ctx, c, plan)
		_, atRest := errors.AsType[notPromoted](err)
		switch {
		case err == nil:
			return nil
		case atRest || api.IsNotFound(err): // or its container is gone
			one.Outcome, one.Why = outcomeFailed, err.Error()
			return nil
		}
		one.Outcome, one.Why = outcomeGoingOn, err.Error()
		return err
	})
}

// begin asks for a promotion, or what it would do. While another NIC on the node is to get
// a VF first, it asks again until ctx ends.
func (p *promoteCommand) begin(ctx context.Context, c *client.Client, id nic.ClaimID) (api.Promotion, error) {
	for {
		plan, err := c.Promote(ctx, id, !p.yes)
		said, _ := errors.AsType[*api.Error](err)
		if !p.yes || said == nil || said.Claim == "" || !later(said) {
			return plan, err
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return plan, errors.Join(err, ctx.Err())
		}
	}
}

// later says whether the same may work in a moment.
func later(err error) bool { return api.CodeOf(err) == api.CodeUnavailable }

// tellAll prints what has not been told line by line.
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
	can := map[string]int{}
	for _, one := range all {
		if one.Outcome == outcomeCan {
			can[one.Node]++
		}
	}
	for _, node := range slices.Sorted(maps.Keys(can)) {
		if can[node] > 1 {
			fmt.Fprintf(p.err, "nicferry: each of %d claims on node %s was looked at by itself; at most as many of them get VFs as are free: nicferry describe node %s\n",
				can[node], oneLine(node), oneLine(node))
		}
	}
	return nil
}

// verdict is the error where all have been seen to, and something failed or was not done.
func (p *promoteCommand) verdict(all []promoted) error {
	count := map[string]int{}
	for _, one := range all {
		count[one.Outcome]++
	}
	switch {
	case count[outcomeCan] > 0:
		return &api.Error{Code: api.CodeRefused, Message: "nothing was done; to do that: nicferry promote --all --yes"}
	case count[outcomeFailed] > 0:
		return fmt.Errorf("%d of %d promotions failed", count[outcomeFailed], len(all))
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
		text += one.Outcome
		if one.Why != "" {
			text += ": " + one.Why
		}
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
