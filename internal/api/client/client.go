// Package client calls the API.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/call"
	"github.com/nicferry/nicferry/internal/mtls"
)

// DefaultAddress is where nicferryd listens unless told otherwise.
const DefaultAddress = "unix:///run/nicferry/nicferryd.sock"

// ErrUnreachable: there is no controller at the address, or it went away
// meanwhile. Errors of the controller itself are *api.Error.
var ErrUnreachable = errors.New("controller does not answer")

// base stands for the controller in URLs; the dialer decides which it is, and
// puts TLS below where the address asks for it.
const base = "http://nicferryd"

// defaultRetries is few: with a person waiting, about half a second.
const defaultRetries = 3

// maxAnswer bounds how much of an answer is read.
const maxAnswer = 64 << 20

// Options are the parts of a Client.
type Options struct {
	// Addresses are those of one controller: unix:// and the absolute path of
	// its socket, or https:// with host and port. At least one is required.
	// They are tried in order; one that answers is kept until it fails.
	Addresses []string
	// TLS is required if one of the addresses is https and there is no Fingerprint.
	TLS mtls.Files
	// Fingerprint is the SHA-256 of the CA of the controller, in hex: for one who
	// has no certificate yet and shows none. Optional.
	Fingerprint string
	Log         *slog.Logger // optional
	// Retries is how many tries may follow a call's first one while the
	// controller is away or says "later"; default 3, negative for none. The
	// call's context bounds them too.
	Retries int
	// Silence is how long a watch may be quiet, heartbeats included, before
	// its connection is taken for dead; default 30 s, which is three
	// heartbeats of the server. After a thirtieth of it without an answer to a call the
	// other addresses are asked, and one that works is gone on to.
	Silence time.Duration
	// Watched is told when the watch of a node breaks, with why, and with nil when
	// it goes on. Optional.
	Watched func(error)
	// Refused is told that the controller has refused a call. It must return at
	// once. Optional.
	Refused func()
}

// A Client calls one controller. Every method may be repeated, returns an
// *api.Error if the controller said no, and ErrUnreachable if nobody answers.
// A Client may be used concurrently.
type Client struct {
	dial    *dialer
	log     *slog.Logger
	silence time.Duration
	calls   *call.Client
	stream  *http.Client // for watches, which do their own retrying
	watched func(error)
	refused func()
	// session is what the last hello got; 0 before that.
	session atomic.Uint64
	// level is what the controller understands, by its last answer; before that, as
	// much as this release.
	level atomic.Int64
}

// Open makes a client. It does not connect yet, but reads the files of TLS.
func Open(opts Options) (*Client, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	dial, err := newDialer(opts)
	if err != nil {
		return nil, err
	}
	switch {
	case opts.Retries == 0:
		opts.Retries = defaultRetries
	case opts.Retries < 0:
		opts.Retries = 0
	}
	if opts.Silence == 0 {
		opts.Silence = defaultSilence
	}
	if opts.Watched == nil {
		opts.Watched = func(error) {}
	}
	if opts.Refused == nil {
		opts.Refused = func() {}
	}
	transport := &http.Transport{
		DialContext:     dial.dial,
		IdleConnTimeout: time.Minute,
		// One dials anew for each call beyond these, which with TLS costs more than
		// the call.
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true,
		// Only streams expect it: their first byte waits for the node that takes.
		ExpectContinueTimeout: meetTime,
	}
	c := &Client{
		dial:    dial,
		log:     opts.Log,
		silence: opts.Silence,
		calls:   call.New(call.Options{Transport: leaving{transport, dial}, Log: opts.Log, Retries: opts.Retries}),
		stream:  &http.Client{Transport: leaving{transport, dial}},
		watched: opts.Watched,
		refused: opts.Refused,
	}
	c.level.Store(api.Level)
	return c, nil
}

// defaultSilence is when a watch is taken for dead.
const defaultSilence = 30 * time.Second

// Close lets idle connections go. The client remains usable.
func (c *Client) Close() { c.calls.Close() }

// get reads path into out.
func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// sign says in which session of its node's agent the caller is, if it has said
// hello. An older controller passes over it.
func (c *Client) sign(h http.Header) {
	if session := c.session.Load(); session != 0 {
		h.Set(api.SessionHeader, strconv.FormatUint(session, 10))
	}
}

// callTime bounds a call with all its tries: a controller that hangs must not
// hold up its caller for ever.
const callTime = 30 * time.Second

// do sends in, if not nil, and reads the answer into out, if not nil. What waits for a
// controller while another one works is sent to that one.
func (c *Client) do(ctx context.Context, method, path string, in, out any) (err error) {
	for range c.dial.addresses {
		elsewhere, done := c.unlessElsewhere(ctx, c.dial.at(), true)
		err = c.doOnce(elsewhere, method, path, in, out)
		moved := errors.Is(context.Cause(elsewhere), errElsewhere)
		done()
		if err == nil || !moved {
			return err
		}
		c.calls.Close()
	}
	return err
}

func (c *Client) doOnce(ctx context.Context, method, path string, in, out any) error {
	caller, at := ctx, c.dial.at()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req := call.Request{Method: method, URL: base + path, Repeatable: true, Header: http.Header{"Accept": {"application/json"}}}
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		req.Body = encoded
		req.Header.Set("Content-Type", "application/json")
	}
	c.sign(req.Header)
	resp, err := c.calls.Do(ctx, req)
	if err != nil {
		c.leave(caller, at)
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		c.leave(caller, at)
		return c.unreachable(ctx, fmt.Errorf("read the answer: %w", err))
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return c.refusal(resp, answer)
	}
	c.learn(resp.Header)
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// leave makes the next connection go to another address than at, which has
// failed, unless the caller has given up before it could answer.
func (c *Client) leave(caller context.Context, at int) {
	if caller.Err() == nil && c.dial.leave(at) {
		c.calls.Close()
	}
}

// unreachable is ctx's error if ctx is why, else ErrUnreachable.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok && ctx.Err() == nil {
		err = u.Err // without the URL, whose host is nobody's
	}
	if ctx.Err() != nil {
		return fmt.Errorf("call %s: %w", c.dial, err)
	}
	if pin, ok := errors.AsType[*mtls.PinError](err); ok {
		return pin // somebody answers, but not the controller
	}
	hint := ""
	if call.NotSent(err) {
		hint = c.dial.hint()
	}
	return fmt.Errorf("%w at %s: %w%s", ErrUnreachable, c.dial, err, hint)
}

// refusal reads an answer that is not a success. Only a controller's says what the
// controller knows.
func (c *Client) refusal(resp *http.Response, answer []byte) error {
	err := asError(resp.Status, answer)
	if api.CodeOf(err) != "" {
		c.learn(resp.Header)
	}
	if api.IsRefused(err) {
		c.refused()
	}
	return err
}

// asError reads an answer that is not a success. One that is not ours, from
// whatever else listens there, is said to be so.
func asError(status string, answer []byte) error {
	var e api.Error
	if json.Unmarshal(answer, &e) == nil && e.Code != "" {
		return &e
	}
	return fmt.Errorf("the answer is %s and not from a nicferryd: %.200q", status, bytes.TrimSpace(answer))
}
