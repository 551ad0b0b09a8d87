package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// serve registers a route that answers with a T.
func serve[I, T any](s *server, op huma.Operation, handle func(context.Context, *I) (T, error)) {
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*body[T], error) {
		leave, err := s.turn(ctx)
		if err != nil {
			return nil, s.asReply(ctx, op, err)
		}
		defer leave()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.asReply(ctx, op, err)
		}
		return &body[T]{Body: out}, nil
	})
}

// serveLong registers a route that waits for something, such as for nodes: it
// takes no turn, which others could use. It is for people alone.
func serveLong[I, T any](s *server, op huma.Operation, handle func(context.Context, *I) (T, error)) {
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*body[T], error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.asReply(ctx, op, err)
		}
		return &body[T]{Body: out}, nil
	})
}

// serveEmpty registers a route that answers with nothing.
func serveEmpty[I any](s *server, op huma.Operation, handle func(context.Context, *I) error) {
	op.DefaultStatus = http.StatusNoContent
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*none, error) {
		leave, err := s.turn(ctx)
		if err != nil {
			return nil, s.asReply(ctx, op, err)
		}
		defer leave()
		if err := handle(ctx, in); err != nil {
			return nil, s.asReply(ctx, op, err)
		}
		return nil, nil
	})
}

// asReply is an error on its way through huma.
func (s *server) asReply(ctx context.Context, op huma.Operation, err error) reply {
	if r, ok := errors.AsType[reply](err); ok {
		return r
	}
	return reply{wire: s.wire(ctx, op, err)}
}
