package main

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/board"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/internal/metrics"
	"github.com/nicferry/nicferry/internal/relay"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/migrate"
)

// A ferry is what moves containers: who decides, and by which ways nodes are given
// orders and what they copy.
type ferry struct {
	mover *migrate.Mover
	board *board.Board
	relay *relay.Relay
}

func newFerry(records store.Store, alloc *allocator.Allocator, happened *events.Log, seen *metrics.Controller, log *slog.Logger) (*ferry, error) {
	f := &ferry{board: board.New(board.Options{Store: records, Log: log}), relay: relay.New(relay.Options{})}
	var err error
	f.mover, err = migrate.New(migrate.Options{
		Store: records, Parts: migrate.Parts{Claims: alloc, Orders: f.board, Streams: f.relay},
		Log: log, Events: happened, Observer: seen,
	})
	return f, err
}

// run works in the group until ctx ends.
func (f *ferry) run(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return f.mover.Run(ctx) })
	group.Go(func() error { return f.board.Run(ctx) })
}

// moveKinds says what the errors of moves are called on the wire.
func moveKinds() []server.Kind {
	return []server.Kind{
		{Err: migrate.ErrNotFound, Code: api.CodeNotFound},
		{Err: migrate.ErrInvalid, Code: api.CodeInvalid},
		{Err: migrate.ErrRefused, Code: api.CodeRefused},
		{Err: allocator.ErrNotMoving, Code: api.CodeConflict},
	}
}
