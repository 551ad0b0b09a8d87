package board

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// fence lets through only the newest agent of a node that is trusted. A commit
// that carries the op fails if that has changed meanwhile.
func (b *Board) fence(ctx context.Context, name string, session uint64) (store.Op, error) {
	if session == 0 {
		return store.Op{}, &api.Error{
			Code: api.CodeInvalid, Field: "header." + api.SessionHeader,
			Message: "tasks are carried out by agents, which say their session in the header " + api.SessionHeader,
		}
	}
	node, rev, err := b.node(ctx, name)
	switch {
	case err != nil:
		return store.Op{}, err
	case !node.Revoked.IsZero():
		return store.Op{}, &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("node %s is revoked and is given no tasks", name)}
	case fenced && session != node.Session:
		return store.Op{}, conflict("session %d of node %s is stale, it is at %d: another agent has started for the node", session, name, node.Session)
	}
	return store.Check(nodeKey(name), rev), nil
}

// node reads a node's record.
func (b *Board) node(ctx context.Context, name string) (nic.Node, store.Rev, error) {
	node, rev, err := store.GetJSON[nic.Node](ctx, b.opts.Store, nodeKey(name))
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = fmt.Errorf("no node %.80q: %w", name, store.ErrNotFound)
	case err != nil:
		err = fmt.Errorf("read node %s: %w", name, err)
	}
	return node, rev, err
}

func conflict(format string, args ...any) error {
	return &api.Error{Code: api.CodeConflict, Message: fmt.Sprintf(format, args...)}
}
