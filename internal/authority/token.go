package authority

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// The bounds of a token: maxTokens for all that are kept at a time.
const (
	maxTokens  = 10_000
	maxAddress = 300 // bytes of one address in a token
)

// CreateToken makes a token with which a node may join once. Its secret is in
// the answer and nowhere else.
func (a *Authority) CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	if err := a.open(); err != nil {
		return api.NewToken{}, err
	}
	ttl := cmp.Or(req.TTL.D(), DefaultTokenLife)
	if err := checkToken(req, ttl); err != nil {
		return api.NewToken{}, err
	}
	instances, ok := a.opts.Instances(req.Node)
	if !ok {
		return api.NewToken{}, refused("node %s is not in nodes: of the controller's config; put it there, and start nicferryd again", req.Node)
	}
	if err := a.sweep(ctx); err != nil {
		return api.NewToken{}, err
	}
	now := a.opts.Now().UTC()
	secret := api.Secret(random(32, base64.RawURLEncoding.EncodeToString))
	token := api.Token{
		ID: "tok-" + random(8, hex.EncodeToString), Node: req.Node, Instances: instances,
		Created: now, Expires: now.Add(ttl),
	}
	text, err := api.TokenContent{Controllers: req.Controllers, Node: req.Node, ID: token.ID, Secret: secret, CA: a.Fingerprint()}.Encode()
	if err != nil {
		return api.NewToken{}, invalid("controllers", err)
	}
	op, err := store.CreateJSON(tokenPrefix+token.ID, tokenRecord{Schema: 1, Token: token, Hash: hashOf(secret)})
	if err != nil {
		return api.NewToken{}, err
	}
	if _, err := a.opts.Store.Commit(ctx, op); err != nil {
		return api.NewToken{}, fmt.Errorf("store token: %w", err)
	}
	a.opts.Log.InfoContext(ctx, "token made", slog.String("token", token.ID), slog.String("node", token.Node),
		slog.Time("expires", token.Expires), slog.Bool("audit", true))
	return api.NewToken{Token: token, Text: text, Addresses: a.Addresses()}, nil
}

func checkToken(req api.TokenRequest, ttl time.Duration) error {
	var faults nic.Faults
	faults.AddErr("body.node", nic.CheckName("node", req.Node))
	if ttl < time.Second || ttl > MaxTokenLife {
		faults.Add("body.ttl", "%s; want 1s to %s", ttl, MaxTokenLife)
	}
	for i, address := range req.Controllers {
		if !strings.HasPrefix(address, "https://") || len(address) > maxAddress {
			faults.Add(fmt.Sprintf("body.controllers[%d]", i), "%.100q; want an address such as https://10.0.0.1:7460", address)
		}
	}
	return faults.Err()
}

// Tokens are those that can still be used, and for a day those that have
// expired, the oldest first. They have no secrets.
func (a *Authority) Tokens(ctx context.Context) ([]api.Token, error) {
	records, _, err := store.ListJSON[tokenRecord](ctx, a.opts.Store, tokenPrefix, "", 0)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	tokens := make([]api.Token, len(records))
	for i, r := range records {
		tokens[i] = r.Value.Token
	}
	slices.SortFunc(tokens, func(x, y api.Token) int {
		return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID))
	})
	return tokens, nil
}

// DeleteToken takes a token back. One that is not there is not found.
func (a *Authority) DeleteToken(ctx context.Context, id string) error {
	rec, err := a.opts.Store.Get(ctx, tokenPrefix+id)
	if err == nil {
		_, err = a.opts.Store.Commit(ctx, store.Delete(rec.Key, rec.Rev))
	}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict):
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no token %.80q: it was used or deleted, or it expired more than %s ago", id, keepExpired)}
	case err != nil:
		return fmt.Errorf("delete token %s: %w", id, err)
	}
	a.opts.Log.InfoContext(ctx, "token deleted", slog.String("token", id), slog.Bool("audit", true))
	return nil
}

// sweep deletes what expired long ago, and refuses where there are too many
// left.
func (a *Authority) sweep(ctx context.Context) error {
	records, _, err := store.ListJSON[tokenRecord](ctx, a.opts.Store, tokenPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list tokens: %w", err)
	}
	left, now := len(records), a.opts.Now()
	for _, r := range records {
		if now.Before(r.Value.Expires.Add(keepExpired)) {
			continue
		}
		// Somebody else's who sweeps, if not ours.
		if _, err := a.opts.Store.Commit(ctx, store.Delete(r.Key, r.Rev)); err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("delete token: %w", err)
		}
		left--
	}
	if left >= maxTokens {
		return refused("%d tokens are waiting to be used; delete some: nicferry token delete ID", left)
	}
	return nil
}

// random is n random bytes in a form.
func random(n int, form func([]byte) string) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return form(b)
}
