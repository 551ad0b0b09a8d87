// Package call sends HTTP requests again when that is safe and may help. It is
// the only importer of go-retryablehttp.
package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// longestWish bounds a Retry-After header: nobody waits an hour because a
// server says so.
const longestWish = 30 * time.Second

// Options are the parts of a Client.
type Options struct {
	Transport http.RoundTripper // required
	Log       *slog.Logger      // required
	// Retries is how many tries may follow the first; 0 means none.
	Retries int
	// First and Max bound the growing waits between tries; default 100 ms and 5 s.
	First, Max time.Duration
}

// A Client sends requests, and sends them again when there was no connection,
// when the connection broke, or when the answer is 429 or 503. A Retry-After
// header is obeyed, up to 30 s. It may be used concurrently.
type Client struct {
	retrying *retryablehttp.Client
}

// New makes a client. It holds no goroutine while idle beyond those of the
// transport's idle connections; Close ends these.
func New(opts Options) *Client {
	if opts.First == 0 {
		opts.First = 100 * time.Millisecond
	}
	if opts.Max == 0 {
		opts.Max = 5 * time.Second
	}
	return &Client{retrying: &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: opts.Transport, CheckRedirect: noRedirect},
		Logger:       leveled{opts.Log},
		RetryWaitMin: opts.First,
		RetryWaitMax: opts.Max,
		RetryMax:     opts.Retries,
		CheckRetry:   checkRetry,
		Backoff:      backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.retrying.HTTPClient.CloseIdleConnections() }

// A Request is one request, which may be sent several times.
type Request struct {
	Method, URL string // required
	Header      http.Header
	Body        []byte
	// Repeatable: it may be sent again after a lost reply. GET and HEAD always
	// may. One that is not repeatable is sent again only if it was never sent
	// or the server said that it did nothing (429, 503).
	Repeatable bool
}

// Do sends the request until there is an answer, the retries are used up or
// ctx ends. An answer of any status is a success here, and the caller closes
// its body. When ctx ends the error says what the last try met with.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	t := &tries{repeatable: r.Repeatable || r.Method == http.MethodGet || r.Method == http.MethodHead}
	var body any // nil and not an empty slice where there is none
	if r.Body != nil {
		body = r.Body
	}
	req, err := retryablehttp.NewRequestWithContext(context.WithValue(ctx, triesKey{}, t), r.Method, r.URL, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if t.repeatable {
		// Not sent, but tells http.Transport that it may take a fresh
		// connection where an idle one turns out to be closed.
		req.Header["Idempotency-Key"] = nil
	}
	resp, err := c.retrying.Do(req)
	if err == nil {
		return resp, nil
	}
	if resp != nil {
		resp.Body.Close()
	}
	if t.last != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%w; the last try: %w", ctx.Err(), t.last)
	}
	return nil, err
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// tries is what is known about one request across its tries. It travels in
// the context because the retry policy is given nothing else.
type tries struct {
	repeatable bool
	last       error // what the last try met with before ctx ended
}

type triesKey struct{}

// checkRetry decides whether to try again.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	t, _ := ctx.Value(triesKey{}).(*tries)
	if err == nil {
		again := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests
		if again && t != nil {
			t.last = errors.New("the server answered " + resp.Status)
		}
		return again, nil
	}
	if t != nil {
		t.last = err
	}
	return NotSent(err) || t != nil && t.repeatable && broken(err), nil
}

// NotSent says whether err means that there was no connection, so that the
// server cannot have seen the request.
func NotSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && (errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EAGAIN) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH))
}

// broken says whether the connection broke before the answer was whole.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// backoff is the server's wish if it has one, else doubles with jitter.
func backoff(first, most time.Duration, try int, resp *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(first, most, try, resp)
	if resp != nil && resp.Header.Get("Retry-After") != "" {
		return min(wait, longestWish)
	}
	return wait/2 + rand.N(wait/2+1)
}

// leveled sends the library's lines to our log, all of them as debug: what
// matters comes back as an error, and the caller says it.
type leveled struct{ log *slog.Logger }

func (l leveled) Error(msg string, args ...any) { l.log.Debug(msg, args...) }
func (l leveled) Warn(msg string, args ...any)  { l.log.Debug(msg, args...) }
func (l leveled) Info(msg string, args ...any)  { l.log.Debug(msg, args...) }
func (l leveled) Debug(msg string, args ...any) { l.log.Debug(msg, args...) }
