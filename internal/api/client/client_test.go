package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "/run/x.sock", "unix:run/x.sock", "unix://run/x.sock", "tcp://1.2.3.4:5", "http://x", "http://1.2.3.4:5",
		"https://x", "https://:5", "https://u@x:5", "https://x:5/v1", "https://x:5?a", "https://[::1", "https://x:http",
	} {
		if _, err := client.Open(client.Options{Addresses: []string{bad}}); err == nil || !strings.Contains(err.Error(), client.DefaultAddress) {
			t.Errorf("address %q: %v, want an error that shows a good one", bad, err)
		}
	}
	if _, err := client.Open(client.Options{Addresses: []string{client.DefaultAddress}}); err != nil {
		t.Error(err)
	}
	if _, err := client.Open(client.Options{}); err == nil {
		t.Error("no address at all is taken")
	}
	_, err := client.Open(client.Options{Addresses: []string{"https://[::1]:5"}})
	if err == nil || !strings.Contains(err.Error(), "needs a CA, a certificate and a key") {
		t.Errorf("TLS without files: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	c, err := client.Open(client.Options{Addresses: []string{"unix://" + filepath.Join(t.TempDir(), "none")}, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Nodes(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := c.Nodes(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

// A refusal is told of, of calls and watches; what is no refusal is not.
func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	for code, want := range map[api.Code]int32{api.CodeRefused: 2, api.CodeNotFound: 0, "": 0} {
		var told atomic.Int32
		c := stubWith(t, client.Options{Refused: func() { told.Add(1) }}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"code":%q,"message":"no"}`, code)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of which it needs none
		_, err := c.Node(ctx, "n1")
		watched := error(nil)
		if code != "" { // what is no controller's is watched on
			watched = c.Watch(ctx, "n1", 0, func(uint64) {})
		}
		cancel()
		if api.CodeOf(err) != code || api.CodeOf(watched) != code || told.Load() != want {
			t.Errorf("%q: %v, %v, told %d times, want %d", code, err, watched, told.Load(), want)
		}
	}
}

// People give a token where its id belongs: its secret goes into no URL.
func TestATokensTextStaysHere(t *testing.T) {
	t.Parallel()
	text, err := api.TokenContent{Node: "n1", ID: "tok-1", Secret: "s3cret", CA: "00"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Pointer[string]
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(new(r.URL.String()))
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.DeleteToken(t.Context(), string(text)); err != nil || *asked.Load() != "/v1/tokens/tok-1" {
		t.Errorf("%v, asked for %q", err, *asked.Load())
	}
	asked.Store(nil)
	if err := c.DeleteToken(t.Context(), string(text[:12])); err == nil || asked.Load() != nil {
		t.Errorf("a part of one: %v, and it is sent: %t", err, asked.Load() != nil)
	}
}

func TestAnswersThatAreNotAControllers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"a web page":          {404, "<html>\x1b[31m", "not from a nicferryd"},
		"an error of another": {500, `{"message":"x"}`, "not from a nicferryd"},
		"a redirect":          {302, "", "not from a nicferryd"},
		"no JSON":             {200, "hello", "read the answer"},
		"another JSON":        {200, `{"items":7}`, "read the answer"},
	} {
		c := stub(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(tc.status)
			fmt.Fprint(w, tc.body)
		})
		_, err := c.Nodes(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %q, want %q", name, err, tc.want)
		}
	}
}

func TestSamePageForEverEnds(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := stub(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		fmt.Fprint(w, `{"items":[],"next":"nic-1"}`)
	})
	if _, err := c.NICs(t.Context()); err != nil || calls.Load() != 2 {
		t.Errorf("%d calls, %v; want 2", calls.Load(), err)
	}
}

// A watch that has gone quiet is on a dead connection: heartbeats are due.
func TestQuietWatchReconnects(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 8)
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery
		fmt.Fprint(w, ": watching\n\nevent: news\ndata: whatever\n\n")
		if r.URL.Query().Get("after") == "7" {
			fmt.Fprint(w, "data:{\"revision\":9}\n\n") // no space, no id: fine as well
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done() // and not a word more
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Watch(ctx, "n1", 7, func(revision uint64) {
			if revision != 9 {
				t.Errorf("revision %d, want 9", revision)
			}
		})
	}()
	if got := <-asked; got != "after=7" {
		t.Errorf("asked for %s, want after=7", got)
	}
	for onward := 0; onward < 2; {
		switch got := <-asked; {
		case got == "after=9":
			onward++
		case got != "after=7" || onward > 0: // that again, where the machine was too busy to answer in time
			t.Errorf("asked for %s, want after=9", got)
			onward = 2
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

// stub serves handler on a socket of its own.
func stub(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	return stubWith(t, client.Options{}, handler)
}

func stubWith(t *testing.T, opts client.Options, handler http.HandlerFunc) *client.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	// Long enough for a handler on a busy machine to say what it has to say.
	opts.Addresses, opts.Silence = []string{"unix://" + path}, 2*time.Second
	c, err := client.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close(); <-done; c.Close() })
	return c
}
