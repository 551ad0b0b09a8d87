package server

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/nicferry/nicferry/internal/api"
)

type watchInput struct {
	Name        string `path:"name"`
	After       uint64 `query:"after" doc:"The revision that the reader knows."`
	LastEventID uint64 `header:"Last-Event-ID" doc:"The same, as browsers send it when they reconnect."`
}

func (s *server) watchRoute() {
	op := s.operation("watch", http.MethodGet, "/v1/nodes/{name}/watch",
		"Be told when what is wanted of a node may have changed, as server-sent events")
	op.Responses["200"] = &huma.Response{
		Description: "One event per change, its id the revision; comments between them are heartbeats",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: s.schema(reflect.TypeFor[api.Change]())}},
	}
	huma.Register(s.api, op, func(ctx context.Context, in *watchInput) (*huma.StreamResponse, error) {
		err := checkName("node", in.Name)
		if err == nil {
			_, err = s.Backend.Node(ctx, in.Name) // once the stream has begun there is no status any more
		}
		if err != nil {
			return nil, reply{wire: s.wire(ctx, op, err)}
		}
		return streamed(func(ctx context.Context, out *stream) { s.watch(ctx, out, op, in) }), nil
	})
}

// watch writes the revisions of a node.
func (s *server) watch(ctx context.Context, out *stream, op huma.Operation, in *watchInput) {
	if out.comment("watching") != nil {
		return
	}
	after := max(in.After, in.LastEventID)
	s.tell(ctx, out, op, func(ctx context.Context) (func() error, error) {
		revision, err := s.Backend.WaitChange(ctx, in.Name, after)
		return func() error {
			after = revision
			return out.event("", revision, api.Change{Revision: revision})
		}, err
	})
}
