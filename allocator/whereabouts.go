package allocator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// OfContainer lists the claims of a container by its name or its id, on the node
// or, if that is empty, wherever it is. On several nodes is ErrInvalid, no claim
// ErrNotFound.
func (a *Allocator) OfContainer(ctx context.Context, node, container string) ([]nic.Claim, error) {
	all, _, err := store.ListJSON[nic.Claim](ctx, a.opts.Store, claimPrefix, "", 0)
	if err != nil {
		return nil, err
	}
	byID := len(container) >= minIDLength && strings.Trim(container, "0123456789abcdef") == ""
	var named, identified []nic.Claim
	for _, r := range all {
		switch claim := r.Value; {
		case claim.Phase == nic.ClaimReleasing || node != "" && claim.Owner.Node != node:
		case claim.Container == container:
			named = append(named, claim)
		case byID && strings.HasPrefix(claim.Owner.Sandbox, container):
			identified = append(identified, claim)
		}
	}
	claims := named // a name is what its user gave it
	if len(claims) == 0 {
		claims = identified
	}
	if len(claims) == 0 {
		return nil, fmt.Errorf("container %.200q: %w: it has no NIC of ours%s", container, ErrNotFound, onNode(node))
	}
	slices.SortFunc(claims, func(x, y nic.Claim) int { return cmp.Compare(x.Owner.Key(), y.Owner.Key()) })
	for _, claim := range claims[1:] {
		if first := claims[0].Owner; claim.Owner.Node != first.Node || claim.Owner.Sandbox != first.Sandbox {
			return nil, fmt.Errorf("container %.200q: %w: it is %.12s on %s and %.12s on %s; say which with its node or its whole id",
				container, ErrInvalid, first.Sandbox, first.Node, claim.Owner.Sandbox, claim.Owner.Node)
		}
	}
	return claims, nil
}

// minIDLength is how much of a container's id has to be said, as Docker shows it.
const minIDLength = 12

func onNode(node string) string {
	if node == "" {
		return ""
	}
	return " on node " + node
}

// OnNode lists the claims whose containers are on the node, by owner.
func (a *Allocator) OnNode(ctx context.Context, node string) ([]nic.Claim, error) {
	on, err := claimsOn(a.reader(ctx), node, nil)
	claims := []nic.Claim{}
	for _, r := range on {
		if r.Value.Owner.Node == node { // else it is on its way there
			claims = append(claims, r.Value)
		}
	}
	return claims, err
}

// Whereabouts says how far the claims' NICs are, in the order of ids. Of a claim
// that is gone it says its id alone.
func (a *Allocator) Whereabouts(ctx context.Context, ids []nic.ClaimID) ([]nic.Whereabouts, error) {
	e := a.reader(ctx)
	all := make([]nic.Whereabouts, len(ids))
	for i, id := range ids {
		at, err := whereabouts(e, id)
		if err != nil {
			return nil, err
		}
		all[i] = at
	}
	return all, nil
}

func whereabouts(e *edit, id nic.ClaimID) (nic.Whereabouts, error) {
	at := nic.Whereabouts{Claim: id}
	claim, _, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found {
		return at, err
	}
	at.Conditions = claim.Conditions
	if claim.NIC == "" {
		at.AddrLost = onMove(claim) && claim.Move.ByAddress
		return at, nil
	}
	n, _, found, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil || !found {
		return at, err
	}
	at.NIC, at.Node, at.Phase, at.State = n.ID, n.Node, n.Phase, n.Seen.State
	for _, c := range n.Conditions {
		nic.SetCondition(&at.Conditions, c)
	}
	if err := nextOf(e, n, &at); err != nil {
		return at, err
	}
	said, _, found, err := get[nic.Observed](e, observedKey(n.ID))
	if err != nil || !found || !counts(said, claim, n) || n.Phase == nic.PhasePlanned { // we have not heard that it is plugged in
		return at, err
	}
	at.Seen, at.Running = said.State, said.Running
	for _, c := range said.Conditions {
		nic.SetCondition(&at.Conditions, c)
	}
	return at, nil
}

// nextOf says how far the NIC is on which a place is kept for the address.
func nextOf(e *edit, n nic.NIC, at *nic.Whereabouts) error {
	if n.Next == "" {
		return nil
	}
	next, _, found, err := get[nic.NIC](e, nicKey(n.Next))
	at.Next, at.NextPhase, at.NextClosed = n.Next, next.Phase, !found || next.Closed
	if next.Phase == nic.PhasePlanned {
		for _, c := range next.Conditions {
			nic.SetCondition(&at.Conditions, c)
		}
	}
	return err
}

// counts says whether what a node has said of the NIC is of its present stay
// there, and of the claim as it is now.
func counts(said nic.Observed, claim nic.Claim, n nic.NIC) bool {
	return said.Turn == n.Turn && (said.Claim == "" || said.Claim == claim.ID && said.Epoch == claim.Epoch)
}

// lookAnyway is how often AwaitNICs looks although nothing is known to have
// changed: soon where another controller leads, which alone hears of changes.
const (
	lookAnyway    = time.Second
	lookUnleading = 10 * time.Millisecond
)

// AwaitNICs waits until the claims' NICs are as wanted; it looks whenever the
// leader's feed has a change of a NIC, a claim or a node's word. The error says
// what they are at when ctx ends.
func (a *Allocator) AwaitNICs(ctx context.Context, ids []nic.ClaimID, as func([]nic.Whereabouts) bool) error {
	for {
		stirred := a.changes.nextStir() // before the look: what changes after it wakes
		at, err := a.Whereabouts(context.WithoutCancel(ctx), ids)
		if err != nil {
			return err
		}
		if as(at) {
			return nil
		}
		within := lookAnyway
		if !a.leading() {
			within = lookUnleading
		}
		timer := time.NewTimer(within)
		select {
		case <-stirred:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for NICs: %w: %s", context.Cause(ctx), describe(at))
		}
		timer.Stop()
	}
}

// describe says for people what the NICs are at.
func describe(all []nic.Whereabouts) string {
	var texts []string
	for _, at := range all {
		text := fmt.Sprintf("claim %s has none", at.Claim)
		if at.NIC != "" {
			text = fmt.Sprintf("%s (claim %s) is %s on node %s, %s by its provider and %s by the node",
				at.NIC, at.Claim, at.Phase, at.Node, cmp.Or(string(at.State), "not seen"), cmp.Or(string(at.Seen), "not reported"))
		}
		for _, c := range at.Conditions {
			text += fmt.Sprintf("; %s: %s", c.Reason, c.Message)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " | ")
}
