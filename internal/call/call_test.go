package call_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/call"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is a transport that gives one answer after the other, the last one
// for ever, and notes what it was sent and when.
type answers struct {
	list  []answer
	sent  []string
	times []time.Duration
	start time.Time
}

type answer struct {
	status int
	header http.Header
	err    error
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	text := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	next := a.list[min(len(a.sent), len(a.list)-1)]
	a.sent = append(a.sent, r.Method+" "+text)
	a.times = append(a.times, time.Since(a.start))
	if next.err != nil {
		return nil, next.err
	}
	return &http.Response{
		StatusCode: next.status, Status: http.StatusText(next.status), Header: next.header,
		Body: io.NopCloser(strings.NewReader("body")), Request: r,
	}, nil
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "unix", Err: syscall.ECONNREFUSED}
}

func reset() error { return &net.OpError{Op: "read", Net: "unix", Err: syscall.ECONNRESET} }

func TestWhatIsTriedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		first      answer
		method     string
		repeatable bool
		tries      int
	}{
		"no listener":                     {answer{err: refused()}, "POST", false, 2},
		"no socket":                       {answer{err: &net.OpError{Op: "dial", Err: syscall.ENOENT}}, "POST", false, 2},
		"later":                           {answer{status: 503}, "POST", false, 2},
		"too many":                        {answer{status: 429}, "POST", false, 2},
		"reset, a read":                   {answer{err: reset()}, "GET", false, 2},
		"reset, a write that may repeat":  {answer{err: reset()}, "POST", true, 2},
		"reset, a write that must not":    {answer{err: reset()}, "POST", false, 1},
		"cut off, a write that may":       {answer{err: io.ErrUnexpectedEOF}, "PUT", true, 2},
		"an error of the server":          {answer{status: 500}, "GET", true, 1},
		"a refusal":                       {answer{status: 403}, "GET", true, 1},
		"success":                         {answer{status: 200}, "GET", true, 1},
		"something else that goes wrong":  {answer{err: errors.New("odd")}, "GET", true, 1},
		"no permission to use the socket": {answer{err: &net.OpError{Op: "dial", Err: syscall.EACCES}}, "GET", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &answers{list: []answer{tc.first, {status: 204}}, start: time.Now()}
				resp, err := newClient(transport, 3).Do(t.Context(), call.Request{
					Method: tc.method, URL: "http://x/", Body: []byte("hello"), Repeatable: tc.repeatable,
				})
				if len(transport.sent) != tc.tries {
					t.Fatalf("sent %d times, want %d", len(transport.sent), tc.tries)
				}
				for _, sent := range transport.sent {
					if sent != tc.method+" hello" {
						t.Errorf("sent %q: the body was not whole", sent)
					}
				}
				if err == nil {
					resp.Body.Close()
				}
				if tc.tries == 2 && (err != nil || resp.StatusCode != 204) {
					t.Errorf("got %v, %v; want the second answer", resp, err)
				}
			})
		})
	}
}

func TestServersWishIsObeyedButBounded(t *testing.T) {
	for wish, want := range map[string]time.Duration{"7": 7 * time.Second, "86400": 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			transport := &answers{
				list:  []answer{{status: 503, header: http.Header{"Retry-After": {wish}}}, {status: 200}},
				start: time.Now(),
			}
			resp, err := newClient(transport, 1).Do(t.Context(), call.Request{Method: "GET", URL: "http://x/"})
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := transport.times[1]; got != want {
				t.Errorf("Retry-After %s: waited %s, want %s", wish, got, want)
			}
		})
	}
}

func TestWaitsGrowAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &answers{list: []answer{{err: refused()}}, start: time.Now()}
		_, err := newClient(transport, 4).Do(t.Context(), call.Request{Method: "GET", URL: "http://x/"})
		if !errors.Is(err, syscall.ECONNREFUSED) || !call.NotSent(err) {
			t.Errorf("got %v, want the last error as it was", err)
		}
		if len(transport.times) != 5 {
			t.Fatalf("tried %d times, want 5", len(transport.times))
		}
		full := 100 * time.Millisecond
		for i := 1; i < 5; i++ {
			wait := transport.times[i] - transport.times[i-1]
			if wait < full/2 || wait > full+time.Nanosecond {
				t.Errorf("wait %d was %s, want between %s and %s", i, wait, full/2, full)
			}
			full *= 2
		}
	})
}

func TestLastAnswerIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &answers{list: []answer{{status: 503}}, start: time.Now()}
		resp, err := newClient(transport, 2).Do(t.Context(), call.Request{Method: "GET", URL: "http://x/"})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 503 || string(text) != "body" || err != nil {
			t.Errorf("got %d %q, %v; want the server's own words", resp.StatusCode, text, err)
		}
	})
}

func TestDeadlineNamesTheLastTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		transport := &answers{list: []answer{{err: refused()}}, start: time.Now()}
		_, err := newClient(transport, 1000).Do(ctx, call.Request{Method: "GET", URL: "http://x/"})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want the deadline and why it was not met", err)
		}
		if took := time.Since(transport.start); took != 3*time.Second {
			t.Errorf("took %s, want 3 s", took)
		}
	})
}

func newClient(transport http.RoundTripper, retries int) *call.Client {
	return call.New(call.Options{Transport: transport, Log: slog.New(slog.DiscardHandler), Retries: retries})
}
