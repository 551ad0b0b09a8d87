package client

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/nicferry/nicferry/internal/api"
)

// Events lists what has happened since the event of the stream that is numbered
// after, oldest first. An empty stream and 0 is all that is remembered.
func (c *Client) Events(ctx context.Context, stream string, after uint64) (api.Events, error) {
	var out api.Events
	err := c.do(ctx, http.MethodGet, eventsPath(stream, after), nil, &out)
	return out, err
}

// An EventReader hears what happens, from one goroutine, which it holds up. All
// but Event are optional.
type EventReader struct {
	Event func(api.Event) // required
	// Missed says how many events were lost, at most: the reader was slow, or away
	// for long.
	Missed func(most uint64)
	// Restarted says that another run of the controller answers: its events begin
	// anew, and those which the last one had not told yet are lost.
	Restarted func()
	// Broke says why the connection broke, and Again that there is one again.
	Broke func(error)
	Again func()
}

// FollowEvents tells what happens after the event of the stream that is numbered
// after. It reconnects by itself, from where it was, and returns only when ctx
// ends, with ctx's error, or when the controller says that this cannot go on.
func (c *Client) FollowEvents(ctx context.Context, stream string, after uint64, r EventReader) error {
	return c.follow(ctx, following{
		what:  "follow events",
		attr:  slog.String("route", "events"),
		path:  func() string { return eventsPath(stream, after) + "&follow=true" },
		broke: r.Broke, again: r.Again,
		deliver: func(event, data string) error {
			switch event {
			case "":
				e, err := decodeEvent[api.Event](data)
				if err == nil {
					after = e.Seq
					r.Event(e)
				}
				return err
			case api.EventGap:
				gap, err := decodeEvent[api.Gap](data)
				if err == nil && r.Missed != nil {
					r.Missed(gap.Missed)
				}
				return err
			case api.EventStream:
				now, err := decodeEvent[api.Stream](data)
				if err != nil || now.Stream == stream {
					return err
				}
				known := stream != ""
				stream, after = now.Stream, 0
				if known && r.Restarted != nil {
					r.Restarted()
				}
			}
			return nil
		},
	})
}

func eventsPath(stream string, after uint64) string {
	return fmt.Sprintf("/v1/events?stream=%s&after=%d", url.QueryEscape(stream), after)
}
