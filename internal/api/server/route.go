package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// serve registers a route that answers with a T.
func serve[I, T any](s *server, op huma.Operation, handle func(context.Context, *I) (T, error)) {
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*body[T], error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, reply{s.wire(ctx, op, err)}
		}
		return &body[T]{Body: out}, nil
	})
}

// serveEmpty registers a route that answers with nothing.
func serveEmpty[I any](s *server, op huma.Operation, handle func(context.Context, *I) error) {
	op.DefaultStatus = http.StatusNoContent
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*none, error) {
		if err := handle(ctx, in); err != nil {
			return nil, reply{s.wire(ctx, op, err)}
		}
		return nil, nil
	})
}
