package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is a controller that behaves as told.
type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// withController is a client of it.
func withController(t *testing.T, r roundTrip) *Client {
	t.Helper()
	c, err := Open(Options{Addresses: []string{DefaultAddress}})
	if err != nil {
		t.Fatal(err)
	}
	c.stream = &http.Client{Transport: r}
	return c
}

// hung answers nothing any more.
type hung struct{ ctx context.Context }

func (h hung) Read([]byte) (int, error) { <-h.ctx.Done(); return 0, h.ctx.Err() }
func (h hung) Close() error             { return nil }

// A controller that is gone without a word holds nobody up for ever.
func TestStreamsOfAControllerThatIsGone(t *testing.T) {
	t.Parallel()
	ended := func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	mute := func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: hung{req.Context()}}, nil
	}
	send := func(ctx context.Context, c *Client) error {
		_, err := c.SendStream(ctx, "n1", "str-0", strings.NewReader("some"))
		return err
	}
	take := func(ctx context.Context, c *Client) error {
		_, err := c.TakeStream(ctx, "n1", "str-0", io.Discard)
		return err
	}
	for name, c := range map[string]struct {
		controller roundTrip
		do         func(context.Context, *Client) error
		after      time.Duration
		want       error
	}{
		"takes nothing":   {ended, send, sendStall, errNotTaken},
		"does not answer": {ended, take, takeSilence, errNoWord},
		"says nothing":    {mute, take, takeSilence, errNoWord},
		"answers too early": {func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
		}, send, 0, errEarly},
		"the caller hangs up": {ended, send, time.Minute, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began, ctx := time.Now(), t.Context()
				if errors.Is(c.want, context.DeadlineExceeded) {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.after)
					defer cancel()
				}
				err := c.do(ctx, withController(t, c.controller))
				if took := time.Since(began); !errors.Is(err, c.want) || took != c.after {
					t.Errorf("after %s: %v; want %v after %s", took, err, c.want, c.after)
				}
			})
		})
	}
}
