package metrics_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/metrics"
)

// Health and readiness are 200 and ok, or 503 and the reason in words; there is
// nothing else, and nothing that changes anything.
func TestPages(t *testing.T) {
	t.Parallel()
	c, _ := full()
	sick := func(context.Context) error { return errors.New("the store takes no records: no space left on device") }
	for _, x := range []struct {
		o    metrics.Options
		path string
		code int
		body string
	}{
		{metrics.Options{}, "/healthz", 200, "ok\n"},
		{metrics.Options{}, "/readyz", 200, "ok\n"},
		{metrics.Options{Health: sick}, "/healthz", 503, "the store takes no records: no space left on device\n"},
		{metrics.Options{Ready: sick}, "/healthz", 200, "ok\n"},
		{metrics.Options{Ready: sick}, "/readyz", 503, "the store takes no records: no space left on device\n"},
		{metrics.Options{}, "/", 404, "404 page not found\n"},
		{metrics.Options{}, "/debug/pprof/", 404, "404 page not found\n"},
	} {
		x.o.Source = c
		if code, body := page(t, x.o, x.path); code != x.code || body != x.body {
			t.Errorf("%s: %d %q, want %d %q", x.path, code, body, x.code, x.body)
		}
	}
}

// A check that hangs is an answer in time.
func TestAProbeHasADeadline(t *testing.T) {
	t.Parallel()
	c, _ := full()
	code, _ := page(t, metrics.Options{Source: c, Health: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			return nil
		}
		return errors.New("it would have been ended")
	}}, "/healthz")
	if code != http.StatusServiceUnavailable {
		t.Error("a probe has no deadline")
	}
}

func TestATakenPortIsTold(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.61:0") // where nobody else gets a port meanwhile
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_, err = metrics.Listen(address)
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "metrics.address") {
		t.Errorf("got %v", err)
	}
	if _, err := metrics.Listen("203.0.113.1:7461"); err == nil || !strings.Contains(err.Error(), "metrics.address") {
		t.Errorf("an address that is not ours: %v", err)
	}
	// One whose work must not hang on it serves when the port is free.
	c, _ := full()
	ctx, cancel := context.WithCancel(t.Context())
	handler := metrics.Handler(metrics.Options{Source: c, Health: ok, Ready: ok, Log: slog.New(slog.DiscardHandler)})
	told := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		metrics.Offer(ctx, address, handler, slog.New(slog.NewTextHandler(lines(told), nil)))
	}()
	if line := <-told; !strings.Contains(line, "another program has "+address) {
		t.Errorf("it tells %q", line)
	}
	ln.Close()
	if line := <-told; !strings.Contains(line, "metrics served") {
		t.Errorf("it tells %q", line)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "ok\n" {
		t.Errorf("got %q", body)
	}
	cancel()
	<-done
}

func ok(context.Context) error { return nil }

// lines sends what is written, line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) { l <- string(b); return len(b), nil }
