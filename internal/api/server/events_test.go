package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/nic"
)

func TestEventsOnTheWire(t *testing.T) {
	t.Parallel()
	happened := events.New(events.Options{Kept: 2, Now: func() time.Time { return time.Unix(0, 0) }})
	ctl := start(t, func(o *server.Options) { o.Heartbeat, o.Events = 20*time.Millisecond, happened })
	for n := range 3 {
		happened.Add(api.Event{Reason: nic.Reason(fmt.Sprintf("R%d", n+1)), Message: "a\nb", Node: "n1"})
	}
	name := happened.Stream().Stream
	var list api.Events
	resp := ctl.send("GET", "/v1/events", "")
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.Header.Get("Content-Type") != "application/json" ||
		len(list.Items) != 2 || list.Stream != name || list.Last != 3 || list.Missed != 0 {
		t.Errorf("the list is %+v, %v", list, err)
	}
	resp = ctl.send("GET", "/v1/events?follow=true&after=0&stream="+name, "")
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	event := func(n int) string {
		return fmt.Sprintf(`data: {"seq":%d,"at":"1970-01-01T00:00:00Z","type":"normal","reason":"R%d","message":"a\nb","node":"n1"}`, n, n)
	}
	lines := bufio.NewScanner(resp.Body)
	wants := []string{
		"event: stream", `data: {"stream":"` + name + `","last":3}`, "", "event: gap", `data: {"missed":1}`, "",
		"id: 2", event(2), "", "id: 3", event(3), "", ": still here", "",
	}
	for _, want := range wants {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got line %q (%v), want %q", lines.Text(), lines.Err(), want)
		}
	}
	ctl.Stop()
	for lines.Scan() {
		if text := lines.Text(); text != "" && text != ": still here" {
			t.Errorf("got %q after the end", text)
		}
	}
	for _, bad := range []string{"after=-1", "limit=0", "follow=maybe", "stream=" + strings.Repeat("x", 65)} {
		ctl.Start()
		if resp := ctl.send("GET", "/v1/events?"+bad, ""); resp.StatusCode != 422 {
			t.Errorf("%s: %s", bad, resp.Status)
		}
		ctl.Stop()
	}
}

// A refused call is an event, with the node that called.
func TestARefusedCallIsAnEvent(t *testing.T) {
	t.Parallel()
	happened := events.New(events.Options{})
	ctl := startTLS(t, func(o *server.Options) { o.Events = happened })
	node := must(ctl.ca.Node("n2"))
	for range 3 {
		if _, err := ctl.tlsClient(node).Hello(t.Context(), "n1", nic.Inventory{}); !api.IsRefused(err) {
			t.Errorf("got %v, want refused", err)
		}
	}
	all := happened.After("", 0, 0).Items
	if len(all) != 1 || all[0].Reason != "CallRefused" || all[0].Type != api.EventWarning || all[0].Node != "n2" || all[0].Count != 3 {
		t.Errorf("the events are %+v", all)
	}
	if _, err := ctl.tlsClient(node).Events(t.Context(), "", 0); !api.IsRefused(err) {
		t.Errorf("a node reads what happens to others: %v", err)
	}
}

// A reader that does not read for a while misses what is not kept, is told so, and
// holds up neither writers nor the server's end.
func TestFollowingReadersAreOnTheirOwn(t *testing.T) {
	t.Parallel()
	const kept = 20
	happened := events.New(events.Options{Kept: kept})
	ctl := start(t, func(o *server.Options) { o.Events = happened })
	happened.Add(api.Event{Reason: "First"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	busy, goOn := make(chan struct{}), make(chan struct{})
	var got, missed, last uint64
	ended := make(chan error, 1)
	go func() {
		ended <- ctl.client().FollowEvents(ctx, "", 0, client.EventReader{
			Missed: func(most uint64) { missed += most },
			Event: func(e api.Event) {
				got++
				switch {
				case e.Seq <= last:
					t.Errorf("event %d after %d", e.Seq, last)
				case e.Reason == "First":
					close(busy)
					<-goOn
				case e.Reason == "Last":
					cancel()
				}
				last = e.Seq
			},
		})
	}()
	<-busy
	long := strings.Repeat("x", 2000) // so that they do not fit into what lies between
	const flood = 5000
	for n := range flood {
		happened.Add(api.Event{Reason: "Flood", Message: fmt.Sprint(n, long)})
	}
	happened.Add(api.Event{Reason: "Last"})
	close(goOn)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if missed == 0 || got+missed != flood+2 {
		t.Errorf("got %d and missed %d of %d", got, missed, flood+2)
	}
}
