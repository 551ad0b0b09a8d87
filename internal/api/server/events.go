package server

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Events remember what has happened. All methods may be called concurrently.
type Events interface {
	// Add notes that e happens now. It never waits.
	Add(e api.Event)
	// After returns up to limit events of the stream that are newer than the one
	// numbered after, 0 for no limit. Of another stream it returns its own from
	// the beginning.
	After(stream string, after uint64, limit int) api.Events
	// Wait returns nil once After has something, or ctx's error.
	Wait(ctx context.Context, stream string, after uint64) error
	// Stream names the stream and its newest event.
	Stream() api.Stream
}

// The events of calls that the caller may not make, and of tokens that let nobody
// in.
const (
	reasonCallRefused  nic.Reason = "CallRefused"
	reasonTokenRefused nic.Reason = "TokenRefused"
)

// eventsAtOnce is how many events are written before it is looked again whether
// the reader is still there, and at most in a list.
const eventsAtOnce = 1000

type eventsInput struct {
	Stream string `query:"stream" maxLength:"64" doc:"The stream that the reader knows; of another one nothing is known."`
	After  uint64 `query:"after" doc:"The number of the last event that the reader knows."`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"10000" doc:"How many to list at most."`
	Follow bool   `query:"follow" doc:"Go on as server-sent events instead of a list."`
}

func (s *server) eventsRoute() {
	op := s.operation("events", http.MethodGet, "/v1/events",
		"List what has happened, oldest first; or with follow=true be told what happens, as server-sent events")
	op.Responses["200"] = &huma.Response{
		Description: "A list; or one event per event, its id the number, after one that names the stream. Comments between them are heartbeats",
		Content: map[string]*huma.MediaType{
			"application/json":  {Schema: s.schema(reflect.TypeFor[api.Events]())},
			"text/event-stream": {Schema: s.schema(reflect.TypeFor[api.Event]())},
		},
	}
	huma.Register(s.api, op, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		if in.Follow {
			return streamed(func(ctx context.Context, out *stream) { s.followEvents(ctx, out, op, in.Stream, in.After) }), nil
		}
		list := s.Events.After(in.Stream, in.After, in.Limit)
		return &huma.StreamResponse{Body: func(c huma.Context) {
			_, w := humago.Unwrap(c)
			w.Header().Set("Content-Type", "application/json")
			writeJSON(w, list) // encodes always
		}}, nil
	})
}

// followEvents writes events as they happen. A reader that is slower than they
// come finds a gap, and holds up nobody.
func (s *server) followEvents(ctx context.Context, out *stream, op huma.Operation, known string, after uint64) {
	now := s.Events.Stream()
	if out.event(api.EventStream, 0, now) != nil {
		return
	}
	if known != now.Stream || after > now.Last {
		after = 0
	}
	first := known == "" // who knows nothing has missed nothing
	s.tell(ctx, out, op, func(ctx context.Context) (func() error, error) {
		if err := s.Events.Wait(ctx, now.Stream, after); err != nil {
			return nil, err
		}
		more := s.Events.After(now.Stream, after, eventsAtOnce)
		if first {
			more.Missed, first = 0, false
		}
		return func() error {
			var err error
			if more.Missed > 0 {
				err = out.event(api.EventGap, 0, api.Gap{Missed: more.Missed})
			}
			for _, e := range more.Items {
				if err != nil {
					return err
				}
				after, err = e.Seq, out.event("", e.Seq, e)
			}
			return err
		}, nil
	})
}
