package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/nicferry/nicferry/internal/api"
)

// writeTimeout is how long a reader of a watch may not read before it is
// taken for dead.
const writeTimeout = 10 * time.Second

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

// tell writes what next has to say, until the reader is gone, the server stops or
// next fails. That next has nothing for a while is said too: a quiet controller is
// no dead one.
func (s *server) tell(ctx context.Context, out *stream, op huma.Operation, next func(context.Context) (write func() error, err error)) {
	var err error
	for err == nil {
		short, cancel := context.WithTimeout(ctx, s.Heartbeat)
		write, nextErr := next(short)
		quiet := nextErr != nil && short.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return
		}
		// Who was let in may have been shut out since.
		if shut := s.standing(ctx, op.OperationID, peerOf(ctx), accessOf(op.OperationID)); shut != nil {
			out.event(api.EventError, 0, s.wire(ctx, op, shut))
			return
		}
		switch {
		case quiet:
			err = out.comment("still here")
		case nextErr != nil:
			out.event(api.EventError, 0, s.wire(ctx, op, nextErr))
			return
		default:
			err = write()
		}
	}
}

// streamed is the answer that begins a stream of server-sent events. It ends also
// when the server begins to stop.
func streamed(body func(context.Context, *stream)) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(c huma.Context) {
		_, w := humago.Unwrap(c)
		ctx, cancel := untilStopping(c.Context())
		defer cancel()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		body(ctx, &stream{w: w, control: http.NewResponseController(w)})
	}}
}

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) comment(text string) error { return s.write(": %s\n\n", text) }

// event writes one event; an empty name and a zero id are left out.
func (s *stream) event(name string, id uint64, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	head := ""
	if name != "" {
		head += "event: " + name + "\n"
	}
	if id != 0 {
		head += fmt.Sprintf("id: %d\n", id)
	}
	return s.write("%sdata: %s\n\n", head, data)
}

func (s *stream) write(format string, args ...any) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.control.Flush()
}
