package authority

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// maxConflicts is how often a commit is tried again that others came before.
const maxConflicts = 5

// Join takes a token and gives its node a certificate for the request's key.
// Until the token expires the same key gets one again, for who did not hear the
// answer. Every certificate of the node's earlier joins is void from then on.
func (a *Authority) Join(ctx context.Context, req api.JoinRequest) (api.Issued, error) {
	if err := a.open(); err != nil {
		return api.Issued{}, err
	}
	content, err := api.ParseToken(req.Token)
	if err != nil {
		return api.Issued{}, invalid("token", err)
	}
	if err := a.checkContent(content); err != nil {
		return api.Issued{}, err
	}
	for range maxConflicts {
		var issued api.Issued
		if issued, err = a.joinOnce(ctx, content, req.CSR); !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
	}
	return api.Issued{}, err
}

// checkContent refuses what can be told without the store.
func (a *Authority) checkContent(c api.TokenContent) error {
	if err := nic.CheckName("node", c.Node); err != nil {
		return invalid("token", err)
	}
	if !sameHash(c.CA, a.Fingerprint()) {
		return refused("the token is of another controller: its CA has the fingerprint %.64q, and this one's has %s; check the address, or make a token here", c.CA, a.Fingerprint())
	}
	return nil
}

func (a *Authority) joinOnce(ctx context.Context, c api.TokenContent, csr string) (api.Issued, error) {
	rec, rev, err := store.GetJSON[tokenRecord](ctx, a.opts.Store, tokenPrefix+c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return a.joinAgain(ctx, c, csr)
	}
	if err != nil {
		return api.Issued{}, fmt.Errorf("read token: %w", err)
	}
	if !sameHash(rec.Hash, hashOf(c.Secret)) {
		return api.Issued{}, unknownToken(c)
	}
	issued, err := a.use(ctx, rec, rev, c.Node, csr)
	return issued, refusalOf(rec.ID, rec.Node, err)
}

// refusalOf says of a token, which is proved to be the node's, that it is refused.
func refusalOf(token, node string, err error) error {
	if !api.IsRefused(err) {
		return err
	}
	return &api.TokenRefusal{Err: err, ID: token, Node: node}
}

// use lets a node in with a token whose secret is right, which is gone then.
func (a *Authority) use(ctx context.Context, rec tokenRecord, rev store.Rev, asked, csr string) (api.Issued, error) {
	now := a.opts.Now().UTC()
	switch {
	case rec.Node != asked:
		return api.Issued{}, refused("the token was made for node %s and not for %s; make one for this node: nicferry token create --node %[2]s", rec.Node, asked)
	case !now.Before(rec.Expires):
		return api.Issued{}, refused("the token for node %s expired at %s, and to the controller it is %s; make a new one: nicferry token create --node %[1]s",
			rec.Node, stamp(rec.Expires), stamp(now))
	}
	if err := a.mayJoin(rec.Node, rec.Instances); err != nil {
		return api.Issued{}, err
	}
	key, err := keyOf(csr)
	if err != nil {
		return api.Issued{}, err
	}
	fingerprint, err := thumb(key)
	if err != nil {
		return api.Issued{}, err
	}
	node, nodeRev, err := a.node(ctx, rec.Node)
	if err != nil {
		return api.Issued{}, err
	}
	node.Join++
	node.Revoked = time.Time{} // who made the token knew
	node.Used = &usedToken{ID: rec.ID, Hash: rec.Hash, Key: fingerprint, Instances: rec.Instances, At: now, Expires: rec.Expires}
	op, err := store.UpdateJSON(nodePrefix+node.Node, node, nodeRev)
	if err != nil {
		return api.Issued{}, err
	}
	// Of two who come with the token at the same time one finds it gone.
	if _, err := a.opts.Store.Commit(ctx, store.Delete(tokenPrefix+rec.ID, rev), op); err != nil {
		return api.Issued{}, fmt.Errorf("store the join of node %s: %w", node.Node, err)
	}
	a.opts.Log.InfoContext(ctx, "node joined", slog.String("node", node.Node), slog.Uint64("join", node.Join),
		slog.String("token", rec.ID), slog.Bool("audit", true))
	return a.issueNode(node.Node, node.Join, key)
}

// joinAgain answers who comes with a token that is not there any more.
func (a *Authority) joinAgain(ctx context.Context, c api.TokenContent, csr string) (api.Issued, error) {
	node, _, err := a.node(ctx, c.Node)
	if err != nil {
		return api.Issued{}, err
	}
	used := node.Used
	if used == nil || used.ID != c.ID || !sameHash(used.Hash, hashOf(c.Secret)) {
		return api.Issued{}, unknownToken(c)
	}
	issued, err := a.useAgain(node, csr)
	return issued, refusalOf(used.ID, node.Node, err)
}

// useAgain answers who comes once more with the token of the node's last join.
func (a *Authority) useAgain(node nodeRecord, csr string) (api.Issued, error) {
	if err := node.standing(); err != nil {
		return api.Issued{}, err
	}
	var (
		used        = node.Used
		key         crypto.PublicKey
		fingerprint string
		err         error
	)
	if a.opts.Now().Before(used.Expires) {
		if key, err = keyOf(csr); err != nil {
			return api.Issued{}, err
		}
		if fingerprint, err = thumb(key); err != nil {
			return api.Issued{}, err
		}
	}
	if !sameHash(fingerprint, used.Key) {
		return api.Issued{}, refused("the token was used already, at %s, for node %s; make a new one: nicferry token create --node %[2]s. If nobody of yours used it, somebody else has joined as %[2]s: nicferry node revoke %[2]s",
			stamp(used.At), node.Node)
	}
	if err := a.mayJoin(node.Node, used.Instances); err != nil {
		return api.Issued{}, err
	}
	return a.issueNode(node.Node, node.Join, key)
}

// unknownToken is the one answer for a token that never was, and for one with
// another secret.
func unknownToken(c api.TokenContent) error {
	return refused("the token for node %s is not known here: it was used or deleted, or it expired long ago; make a new one: nicferry token create --node %[1]s", c.Node)
}

// Renew gives a node that shows its certificate the next one, of the same join.
func (a *Authority) Renew(ctx context.Context, peer mtls.Peer, csr string) (api.Issued, error) {
	if err := a.open(); err != nil {
		return api.Issued{}, err
	}
	if peer.Role != mtls.Node || peer.Join == 0 || len(peer.Names) != 1 {
		return api.Issued{}, refused("%s has no certificate of a join, and only those are renewed here", peer)
	}
	if err := a.Check(ctx, peer); err != nil {
		return api.Issued{}, err
	}
	name := peer.Names[0]
	if _, ok := a.opts.Instances(name); !ok {
		return api.Issued{}, refused("node %s is not in nodes: of the controller's config any more; its certificate is not renewed", name)
	}
	key, err := keyOf(csr)
	if err != nil {
		return api.Issued{}, err
	}
	issued, err := a.issueNode(name, peer.Join, key)
	if err == nil {
		a.opts.Log.InfoContext(ctx, "certificate renewed", slog.String("node", name), slog.Uint64("join", peer.Join), slog.Time("expires", issued.Expires))
	}
	return issued, err
}
