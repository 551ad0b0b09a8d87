package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// The times of a stream. The controller's own bounds are shorter than ours, and
// say why: ours are for one that has gone.
const (
	streamBeat = 5 * time.Second // between two signs of life
	// meetTime is how long the controller may have a sender wait for the other node.
	meetTime    = 45 * time.Second
	takeSilence = 45 * time.Second
	sendStall   = 3 * time.Minute
)

var (
	errNoWord   = fmt.Errorf("the controller says nothing for %s", takeSilence)
	errNotTaken = fmt.Errorf("the controller takes nothing for %s", sendStall)
	// errEarly is an answer before all was sent, which is none of ours.
	errEarly = errors.New("the controller answered before the end of the stream")
)

// SendStream sends what r has into the stream, once, and returns when the node at
// the other end has taken all of it. A stream that breaks is not tried again: the
// error says why. r may be quiet for as long as it likes, and is read from only
// before SendStream returns; if it is an io.Closer it is closed when the stream
// breaks, so that a Read that waits ends.
func (c *Client) SendStream(ctx context.Context, node, stream string, r io.Reader) (nic.Copied, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, out := io.Pipe()
	// net/http waits for a Read of the body before it gives up a request.
	defer context.AfterFunc(ctx, func() { body.CloseWithError(context.Cause(ctx)) })()
	answered := make(chan error, 1)
	go func() {
		err := c.put(ctx, streamPath(node, stream), body)
		body.CloseWithError(errEarly)
		if closer, ok := r.(io.Closer); ok && err != nil {
			closer.Close() // it is the stream's error that counts
		}
		answered <- err
	}()
	stalled := time.AfterFunc(sendStall, func() { cancel(errNotTaken) })
	defer stalled.Stop()
	f := &frames{out: out, at: time.Now(), wrote: func() { stalled.Reset(sendStall) }}
	sent, err := f.send(r, streamBeat)
	out.Close()
	broke := <-answered
	source, isSource := errors.AsType[*sourceError](err)
	switch {
	case isSource:
		err = fmt.Errorf("read what is to be sent: %w", source.err)
	case broke != nil:
		err = broke
	}
	if err != nil {
		return nic.Copied{}, fmt.Errorf("send stream %s: %w", stream, err)
	}
	return sent, nil
}

// put sends one body of any length, and returns what the controller says of it.
func (c *Client) put(ctx context.Context, path string, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, base+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Expect", "100-continue") // a refusal comes before the first byte
	resp, err := c.streamed(ctx, req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// TakeStream writes to w what the other node sends into the stream, once. With an
// error, what w has got is not the whole and must not be used: the length and the
// SHA-256 that the sender says last are checked.
func (c *Client) TakeStream(ctx context.Context, node, stream string, w io.Writer) (nic.Copied, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(takeSilence, func() { cancel(errNoWord) })
	defer silence.Stop()
	taken, err := c.take(ctx, streamPath(node, stream), w, silence)
	if err != nil {
		return nic.Copied{}, fmt.Errorf("take stream %s: %w", stream, err)
	}
	return taken, nil
}

func (c *Client) take(ctx context.Context, path string, w io.Writer, silence *time.Timer) (nic.Copied, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return nic.Copied{}, fmt.Errorf("make request: %w", err)
	}
	resp, err := c.streamed(ctx, req)
	if err != nil {
		return nic.Copied{}, err
	}
	defer resp.Body.Close()
	taken, err := takeFrames(w, &heard{resp.Body, silence})
	if !errors.Is(err, errCut) {
		return taken, err
	}
	if cause := context.Cause(ctx); cause != nil {
		return nic.Copied{}, fmt.Errorf("%w: %w", errCut, cause)
	}
	if why := resp.Trailer.Get(api.StreamTrailer); why != "" {
		return nic.Copied{}, fmt.Errorf("%w: %s", errCut, why)
	}
	return nic.Copied{}, err
}

// streamed sends a request, without further tries, and returns the answer if it is
// a success.
func (c *Client) streamed(ctx context.Context, req *http.Request) (*http.Response, error) {
	c.sign(req.Header)
	at := c.dial.at()
	resp, err := c.stream.Do(req)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil {
		c.leave(ctx, at)
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		defer resp.Body.Close()
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
		return nil, c.refusal(resp, answer)
	}
	c.learn(resp.Header)
	return resp, nil
}

// heard is a body that may be quiet for a while, but not for ever. What its reader
// does in between is no silence.
type heard struct {
	io.Reader
	silence *time.Timer
}

func (h *heard) Read(p []byte) (int, error) {
	h.silence.Reset(takeSilence)
	defer h.silence.Stop()
	return h.Reader.Read(p)
}

func streamPath(node, stream string) string {
	return nodePath(node) + "/streams/" + url.PathEscape(stream)
}
