package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/retry"
)

// maxLine bounds one line of a stream.
const maxLine = 1 << 20

// errSilent is why a stream is given up that has been quiet for too long.
var errSilent = errors.New("no heartbeat of the controller")

// A following is a stream of server-sent events that is begun again whenever it
// breaks.
type following struct {
	what string    // for errors
	attr slog.Attr // for the log
	// path is where it goes on from what has been delivered.
	path func() string
	// deliver takes an event, but those of errors. It holds up the stream.
	deliver func(event, data string) error
	// Optional: broke hears why the stream has broken, once, and again that it
	// goes on.
	broke func(error)
	again func()
}

// follow delivers until ctx ends, and returns its error, or until the controller
// says that this cannot go on.
func (c *Client) follow(ctx context.Context, f following) error {
	backoff := retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second}
	broken := false
	connected := func() {
		if broken {
			c.log.InfoContext(ctx, "controller answers again", f.attr)
			if f.again != nil {
				f.again()
			}
		}
		broken = false
	}
	deliver := func(event, data string) error {
		if event == api.EventError {
			return asError("an error event", []byte(data))
		}
		err := f.deliver(event, data)
		if event == "" && err == nil {
			backoff.Reset()
		}
		return err
	}
	for {
		at := c.dial.at()
		err := c.followOnce(ctx, f.path(), connected, deliver)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if code := api.CodeOf(err); code != "" && code != api.CodeUnavailable && code != api.CodeInternal {
			return fmt.Errorf("%s: %w", f.what, err)
		}
		if api.CodeOf(err) == "" {
			c.leave(ctx, at)
		}
		level := slog.LevelDebug
		if !broken { // once is enough, however long it stays away
			broken, level = true, slog.LevelWarn
			if f.broke != nil {
				f.broke(err)
			}
		}
		c.log.LogAttrs(ctx, level, "stream broke, trying again", f.attr, slog.Any("err", err))
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return err
		}
	}
}

// followOnce reads one connection until it breaks, and says how.
func (c *Client) followOnce(ctx context.Context, path string, connected func(), deliver func(event, data string) error) (err error) {
	ctx, done := c.unlessElsewhere(ctx, c.dial.at(), false)
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	defer func() {
		switch cause := context.Cause(ctx); cause {
		case errSilent:
			err = fmt.Errorf("%w for %s", errSilent, c.silence)
		case errElsewhere:
			err = cause
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	c.sign(req.Header)
	resp, err := c.stream.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
		return c.refusal(resp, answer)
	}
	c.learn(resp.Header)
	connected()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	event := ""
	for lines.Scan() {
		silence.Reset(c.silence)
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "data":
			silence.Stop() // it may take its time
			if err := deliver(event, value); err != nil {
				return err
			}
			silence.Reset(c.silence)
			event = ""
		}
	}
	if lines.Err() != nil {
		return lines.Err()
	}
	return io.ErrUnexpectedEOF
}

func decodeEvent[T any](data string) (v T, err error) {
	if err = json.Unmarshal([]byte(data), &v); err != nil {
		err = fmt.Errorf("read event %.200q: %w", data, err)
	}
	return v, err
}
