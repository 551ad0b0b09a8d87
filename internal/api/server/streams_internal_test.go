package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/pipenet"
	"github.com/nicferry/nicferry/internal/relay"
)

// sockets are pipes whose callers are admins, as on the controller's socket.
type sockets struct{ *pipenet.Listener }

func (s sockets) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	return local{conn}, err
}

type local struct{ net.Conn }

func (local) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// A harbour serves streams where time is virtual.
type harbour struct {
	*relay.Relay
	*http.Transport
	stop func()
}

func newHarbour(t *testing.T) *harbour {
	log := slog.New(slog.DiscardHandler)
	h := &harbour{Relay: relay.New(relay.Options{})}
	ctx, cancel := context.WithCancel(t.Context())
	ln, done := pipenet.Listen(), make(chan error, 1)
	go func() { done <- Run(ctx, sockets{ln}, New(Options{Log: log, Streams: h.Relay}), log) }()
	h.Transport = &http.Transport{
		DialContext:           ln.Dial,
		ExpectContinueTimeout: time.Minute,
	}
	h.stop = func() {
		h.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return h
}

// ask makes one call about a stream.
func (h *harbour) ask(t *testing.T, method, node, stream string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://c/v1/nodes/"+node+"/streams/"+stream, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := h.RoundTrip(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, node, err)
		return &http.Response{Body: http.NoBody}
	}
	return resp
}

// None of the bounds of other calls holds for a stream: it may take hours, as long
// as something comes through now and then.
func TestAStreamMayTakeHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarbour(t)
		defer h.stop()
		name, end := h.Open("n1", "n2")
		defer end()
		body, from := io.Pipe()
		const pieces = 500
		go func() {
			for range pieces {
				time.Sleep(29 * time.Second)
				io.WriteString(from, "some")
			}
			from.Close()
		}()
		sent := make(chan int, 1)
		go func() {
			resp := h.ask(t, http.MethodPut, "n1", name, body)
			resp.Body.Close()
			sent <- resp.StatusCode
		}()
		began := time.Now()
		resp := h.ask(t, http.MethodGet, "n2", name, nil)
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != strings.Repeat("some", pieces) || <-sent != http.StatusNoContent {
			t.Errorf("taken are %d bytes, %v", len(got), err)
		}
		if took := time.Since(began); took < 4*time.Hour {
			t.Errorf("it took %s", took)
		}
	})
}

// A taker that does not read ends the stream for a sender that goes on, and a
// sender that does not send for a taker; both are told in words.
func TestAnEndThatHangs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  io.Reader
		reads bool
		after time.Duration
		want  string
	}{
		"the taker":  {io.LimitReader(endless{}, 64<<20), false, 2 * time.Minute, "node n2 took nothing for 2m0s"},
		"the sender": {nil, true, 30 * time.Second, "node n1 sent nothing for 30s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHarbour(t)
				stream, end := h.Open("n1", "n2")
				defer end()
				began, taken := time.Now(), make(chan struct{})
				go func() {
					defer close(taken)
					resp := h.ask(t, http.MethodGet, "n2", stream, nil)
					defer resp.Body.Close()
					if !c.reads {
						time.Sleep(time.Hour)
						return
					}
					if answer, err := io.ReadAll(resp.Body); !strings.Contains(string(answer), c.want) {
						t.Errorf("the taker is told %q, %v", answer, err)
					}
				}()
				body, from := io.Pipe()
				go func() {
					if c.body != nil {
						io.Copy(from, c.body)
					}
				}()
				resp := h.ask(t, http.MethodPut, "n1", stream, body)
				body.Close()
				answer, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(answer), c.want) {
					t.Errorf("the sender is told %d %q, %v", resp.StatusCode, answer, err)
				}
				if took := time.Since(began); took < c.after || took > c.after+time.Second {
					t.Errorf("after %s, want %s", took, c.after)
				}
				<-taken
				h.stop()
			})
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
