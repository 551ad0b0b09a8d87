package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/store"
)

// Check refuses a node whose certificate is good by itself and must not be used
// any more. People's always may.
func (a *Authority) Check(ctx context.Context, peer mtls.Peer) error {
	if peer.Role != mtls.Node {
		return nil
	}
	for _, name := range peer.Names {
		node, rev, err := a.node(ctx, name)
		if err != nil {
			return err
		}
		if rev == 0 && peer.Join == 0 {
			continue
		}
		if err := node.admit(peer.Join); err != nil {
			return err
		}
	}
	return nil
}

// standing refuses a node that an operator has shut out.
func standing(node nodeRecord) error {
	again := fmt.Sprintf("to let it in again: nicferry token create --node %s, and join with that", node.Node)
	switch {
	case node.Revoked != nil:
		return refused("node %s was revoked at %s; %s", node.Node, stamp(*node.Revoked), again)
	case node.Removed != nil:
		return refused("node %s was removed at %s; %s", node.Node, stamp(*node.Removed), again)
	}
	return nil
}

// admit refuses a certificate of a join that is not the node's last. Those that
// operators make themselves stem from no join, and a removal is no word on them.
func (n nodeRecord) admit(join uint64) error {
	if join == 0 && n.Revoked == nil {
		return nil
	}
	if err := standing(n); err != nil {
		return err
	}
	switch {
	case join < n.Join:
		return refused("node %s has joined again since this certificate was made (of join %d, the last is %d): another machine has the name, or this one came out of a copy; join with a new token, or under another name",
			n.Node, join, n.Join)
	case join > n.Join:
		return refused("the controller does not know of join %d of node %s, the last is %d: its store was restored from an older copy; join again, with the token that nicferry token create --node %[2]s prints",
			join, n.Node, n.Join)
	}
	return nil
}

// Revoke makes every certificate and token of a node void, until it joins with
// a token that is made later. Repeated it is the same again.
func (a *Authority) Revoke(ctx context.Context, node string) error {
	return a.shut(ctx, node, "node revoked", func(rec *nodeRecord) bool {
		if rec.Revoked != nil {
			return false
		}
		rec.Revoked = new(a.opts.Now().UTC())
		return true
	})
}

// Remove forgets a node but for what keeps its old certificates void. One that
// was revoked stays so. Repeated, or for a node that never joined, it changes
// nothing.
func (a *Authority) Remove(ctx context.Context, node string) error {
	return a.shut(ctx, node, "node removed", func(rec *nodeRecord) bool {
		if rec.Removed != nil || rec.Join == 0 {
			return false
		}
		rec.Removed, rec.Used = new(a.opts.Now().UTC()), nil
		return true
	})
}

// shut changes a node's record, if change says so, and deletes its tokens with
// it.
func (a *Authority) shut(ctx context.Context, node, what string, change func(*nodeRecord) bool) error {
	var err error
	for range maxConflicts {
		if err = a.shutOnce(ctx, node, what, change); !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("shut out node %s: %w", node, err)
	}
	return nil
}

func (a *Authority) shutOnce(ctx context.Context, node, what string, change func(*nodeRecord) bool) error {
	rec, rev, err := a.node(ctx, node)
	if err != nil {
		return err
	}
	tokens, _, err := store.ListJSON[tokenRecord](ctx, a.opts.Store, tokenPrefix, "", 0)
	if err != nil {
		return err
	}
	var ops []store.Op
	for _, t := range tokens {
		if t.Value.Node == node {
			ops = append(ops, store.Delete(t.Key, t.Rev))
		}
	}
	if change(&rec) {
		op, err := store.UpdateJSON(nodePrefix+node, rec, rev)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return nil
	}
	if _, err := a.opts.Store.Commit(ctx, ops...); err != nil {
		return err
	}
	a.opts.Log.InfoContext(ctx, what, slog.String("node", node), slog.Uint64("join", rec.Join), slog.Bool("audit", true))
	return nil
}
