package server_test

import (
	"bufio"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

func TestWatchGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	c := ctl.client()
	if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	_, after, err := c.Wanted(t.Context(), "n1", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	revisions, ended := make(chan uint64, 16), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, "n1", after, func(r uint64) { revisions <- r }) }()
	expect := func(want uint64) {
		t.Helper()
		select {
		case got := <-revisions:
			if got != want {
				t.Fatalf("got revision %d, want %d", got, want)
			}
		case err := <-ended:
			t.Fatalf("the watch ended: %v", err)
		case <-time.After(time.Minute):
			t.Fatalf("revision %d never came", want)
		}
	}
	expect(ctl.backend.Touch())
	expect(ctl.backend.Touch())
	ctl.Stop()
	missed := ctl.backend.Touch() // while nobody serves
	ctl.Start()
	expect(missed)
	ctl.backend.Fail("WaitChange", store.ErrClosed) // an event that ends the watch, but not for good
	next := ctl.backend.Touch()
	expect(next)
	expect(ctl.backend.Touch())
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	select {
	case r := <-revisions:
		t.Errorf("revision %d came twice or out of nothing", r)
	default:
	}
}

func TestWatchOfAnUnknownNodeEnds(t *testing.T) {
	t.Parallel()
	err := start(t).client().Watch(t.Context(), "n9", 0, func(uint64) { t.Error("changed") })
	if !api.IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestWatchOnTheWire(t *testing.T) {
	t.Parallel()
	ctl := start(t, func(o *server.Options) { o.Heartbeat = 20 * time.Millisecond })
	ctl.backend.PutNode(nic.Node{Name: "n1"}) // revision 2
	resp := ctl.send("GET", "/v1/nodes/n1/watch?after=1", "")
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	lines := bufio.NewScanner(resp.Body)
	for _, want := range []string{": watching", "", "id: 2", `data: {"revision":2}`, "", ": still here", ""} {
		more := lines.Scan()
		for more && lines.Text() == ": still here" && want != ": still here" { // on a busy machine it may come before
			lines.Scan() // the empty line behind it
			more = lines.Scan()
		}
		if !more || lines.Text() != want {
			t.Fatalf("got line %q (%v), want %q", lines.Text(), lines.Err(), want)
		}
	}
	ctl.backend.Fail("WaitChange", errors.New("out of memory"))
	ctl.backend.Touch()
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	if text := strings.Join(rest, "\n"); !strings.Contains(text, "event: error\ndata: {\"code\":\"internal\"") {
		t.Errorf("the watch ended with %q, want an error event", text)
	}
}

// A watch must not hold up the controller's end.
func TestWatchEndsWithTheServer(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	ctl.backend.PutNode(nic.Node{Name: "n1"})
	resp := ctl.send("GET", "/v1/nodes/n1/watch?after=2", "")
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() {
		t.Fatal("the watch did not begin")
	}
	ctl.Stop() // fails where its grace of 5 s has run out
	for lines.Scan() {
		if text := lines.Text(); text != "" {
			t.Errorf("got %q after the end", text)
		}
	}
}
