package allocator

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// RemoveNode ends a node that has no claims any more, in good order: its record,
// its trust and what was ready there in reserve. A node with claims, or with NICs
// that only its agent can give back, is ErrRefused, and the answer has them. It may
// be repeated. With dryRun it only says what it would remove.
func (a *Allocator) RemoveNode(ctx context.Context, name string, dryRun bool) (api.Forgotten, error) {
	left, err := a.removable(ctx, name)
	if errors.Is(err, ErrNotFound) && !dryRun { // it may have joined, and not said hello
		_, known, trustErr := a.distrust(ctx, name)
		if trustErr != nil || known {
			err = trustErr
		}
	}
	if err != nil || dryRun || left.Node == "" {
		return left, err
	}
	before, err := a.Node(ctx, name)
	if err != nil {
		return left, err
	}
	if err := a.markRevoked(ctx, name, nic.NodeLost, 0); err != nil { // from here on it gets nothing new
		return left, err
	}
	if left, err = a.removable(ctx, name); err != nil {
		return left, errors.Join(err, a.unmark(ctx, before))
	}
	if err := a.endTrust(ctx, name, nic.NodeLost); err != nil {
		return left, err
	}
	f := farewell{a: a, node: name, begun: a.now(), phase: nic.NodeLost}
	return left, f.giveUp(ctx, left)
}

// removable is what a node has that it can be removed with, or ErrRefused.
func (a *Allocator) removable(ctx context.Context, name string) (api.Forgotten, error) {
	if _, err := a.Node(ctx, name); err != nil {
		return api.Forgotten{Claims: []api.GivenUp{}, NICs: []nic.ID{}}, err
	}
	left, err := a.reservedFor(ctx, name)
	if err != nil {
		return left, err
	}
	if err := a.noneComes(ctx, name); err != nil {
		return left, err
	}
	if len(left.Claims) > 0 {
		return left, fmt.Errorf("remove node %q: %w: it has %d claims, of %s; remove these containers first, or, if the machine is gone: nicferry node forget %s",
			name, ErrRefused, len(left.Claims), containersOf(left.Claims), name)
	}
	for _, id := range left.NICs {
		n, _, found, err := get[nic.NIC](a.reader(ctx), nicKey(id))
		if err != nil {
			return left, err
		}
		if found && !seizable(n) && !n.Clean {
			return left, fmt.Errorf("remove node %q: %w: its agent has to give back NIC %s (%s) first; take the node out of the pool of network %s and wait, or, if the machine is gone: nicferry node forget %s",
				name, ErrRefused, id, n.Phase, n.Network, name)
		}
	}
	return left, nil
}

// noneComes refuses for a node that claims are on their way to.
func (a *Allocator) noneComes(ctx context.Context, name string) error {
	claims, _, err := store.ListJSON[nic.Claim](ctx, a.opts.Store, claimPrefix, "", 0)
	if err != nil {
		return err
	}
	for _, r := range claims {
		if c := r.Value; onMove(c) && c.Move.To.Node == name {
			return fmt.Errorf("remove node %q: %w: container %.64q moves there (%s); wait until that is over, or nicferry migrate --abort %s",
				name, ErrRefused, c.Container, c.Move.Move, c.Move.Move)
		}
	}
	return nil
}

// unmark takes back what markRevoked did to a node that cannot be removed.
func (a *Allocator) unmark(ctx context.Context, before nic.Node) error {
	return a.atomically(ctx, func(e *edit) error {
		node, rev, found, err := get[nic.Node](e, nodeKey(before.Name))
		if err != nil || !found {
			return err
		}
		node.Phase, node.Revoked = nic.NodeReady, before.Revoked
		if !before.Revoked.IsZero() {
			node.Phase = nic.NodeRevoked
		}
		e.update(nodeKey(before.Name), node, rev)
		return nil
	})
}

// mostNamed is how many containers an error names.
const mostNamed = 20

func containersOf(claims []api.GivenUp) string {
	text := ""
	for i, c := range claims {
		if i == mostNamed {
			return fmt.Sprintf("%s and %d more", text, len(claims)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%.64q", c.Container)
	}
	return text
}
