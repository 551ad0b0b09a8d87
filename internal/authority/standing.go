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
func (n nodeRecord) standing() error {
	if n.Revoked.IsZero() {
		return nil
	}
	return refused("node %s was revoked at %s; to let it in again: nicferry token create --node %[1]s, and nicferry-agent join --force there", n.Node, stamp(n.Revoked))
}

// admit refuses a certificate of a join that is not the node's last. Those that
// operators make themselves stem from no join.
func (n nodeRecord) admit(join uint64) error {
	if err := n.standing(); err != nil || join == 0 {
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
// a token that is made later, and says whether there have been any, and which join
// was the node's last, 0 if it has not joined. Repeated it is the same again.
func (a *Authority) Revoke(ctx context.Context, node string) (join uint64, known bool, err error) {
	for range maxConflicts {
		if join, known, err = a.revokeOnce(ctx, node); !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return join, known, fmt.Errorf("revoke node %s: %w", node, err)
	}
	return join, known, nil
}

func (a *Authority) revokeOnce(ctx context.Context, node string) (join uint64, known bool, err error) {
	rec, rev, err := a.node(ctx, node)
	if err != nil {
		return 0, false, err
	}
	tokens, _, err := store.ListJSON[tokenRecord](ctx, a.opts.Store, tokenPrefix, "", 0)
	if err != nil {
		return 0, false, err
	}
	var ops []store.Op
	for _, t := range tokens {
		if t.Value.Node == node {
			ops = append(ops, store.Delete(t.Key, t.Rev))
		}
	}
	known = rev != 0 || len(ops) > 0
	if rev != 0 && rec.Revoked.IsZero() {
		rec.Revoked = a.opts.Now().UTC()
		op, err := store.UpdateJSON(nodePrefix+node, rec, rev)
		if err != nil {
			return rec.Join, known, err
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return rec.Join, known, nil
	}
	if _, err := a.opts.Store.Commit(ctx, ops...); err != nil {
		return rec.Join, known, err
	}
	a.opts.Log.InfoContext(ctx, "certificates and tokens of a node revoked", slog.String("node", node), slog.Uint64("join", rec.Join), slog.Bool("audit", true))
	return rec.Join, known, nil
}
