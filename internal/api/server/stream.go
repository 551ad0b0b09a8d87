package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/nicferry/nicferry/internal/api"
)

// writeTimeout is how long a reader of a stream may not read before it
// is taken for dead.
const writeTimeout = 10 * time.Second

// tell writes what next has to say, until the reader is gone, the server stops or
// next fails. That next has nothing for a while is said too: a quiet controller is
// no dead one.
func (s *server) tell(ctx context.Context, out *stream, op huma.Operation, next func(context.Context) (write func() error, err error)) {
	var err error
	for err == nil {
		short, cancel := context.WithTimeout(ctx, s.Heartbeat)
		write, nextErr := next(short)
		quiet := short.Err() != nil && errors.Is(nextErr, context.DeadlineExceeded)
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
