package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/api/client"
)

// tries is a log that keeps when the watch was tried again.
type tries struct {
	slog.Handler
	mu sync.Mutex
	at []time.Time
}

func (h *tries) Enabled(context.Context, slog.Level) bool { return true }

func (h *tries) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Message == "stream broke, trying again" {
		h.at = append(h.at, time.Now())
	}
	return nil
}

func (h *tries) WithAttrs([]slog.Attr) slog.Handler { return h }

// A controller that is away for an hour is looked for a bounded number of times,
// at changing distances and at every address; within seconds of its return the
// watch goes on from where it was.
func TestS4_AWatchOutlivesAnHour(t *testing.T) {
	dir := t.TempDir()
	// The server is outside: who waits for a connection is not idle to synctest.
	asked, doors := make(chan string, 1), make(chan net.Listener, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("after")
		fmt.Fprint(w, "data: {\"revision\":9}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(<-doors) })
	synctest.Test(t, func(t *testing.T) {
		first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
		log := &tries{}
		c, err := client.Open(client.Options{Addresses: []string{"unix://" + first, "unix://" + second}, Log: slog.New(log), Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		ended, changes := make(chan error, 1), make(chan uint64, 1)
		go func() { ended <- c.Watch(ctx, "n1", 7, func(r uint64) { changes <- r }) }()
		time.Sleep(time.Hour)
		log.mu.Lock()
		pauses := map[time.Duration]bool{}
		for i := range log.at[1:] {
			pauses[log.at[i+1].Sub(log.at[i])] = true
		}
		// Two and a half to five seconds apart, once it has grown.
		if n := len(log.at); n < 720 || n > 1460 || len(pauses) < n/2 {
			t.Errorf("tried %d times in an hour, at %d different distances", n, len(pauses))
		}
		log.mu.Unlock()

		ln, err := net.Listen("unix", second)
		if err != nil {
			t.Fatal(err)
		}
		doors <- ln
		back := time.Now()
		if r := <-changes; r != 9 {
			t.Errorf("revision %d, want 9", r)
		}
		if took := time.Since(back); took > 5*time.Second {
			t.Errorf("it took %s to come back", took)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v", err)
		}
	})
	if after := <-asked; after != "7" {
		t.Errorf("asked for what is after %s, want 7", after)
	}
	srv.Close()
	serving.Wait()
}
