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

// maxLine bounds one line of a watch.
const maxLine = 1 << 20

// Watch calls changed with a revision each time that what is wanted of the
// node may have changed since the revision after. It reconnects by itself, from
// where it was, and returns only when ctx ends, with ctx's error, or when the
// controller says that this cannot go on, such as not found for a node that it
// does not know: say hello again. A revision may be lower than the one before,
// after the controller's store was restored. changed is called from one
// goroutine and holds up the watch while it runs.
func (c *Client) Watch(ctx context.Context, node string, after uint64, changed func(revision uint64)) error {
	backoff := retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second}
	broken := false
	connected := func() {
		if broken {
			c.log.InfoContext(ctx, "controller answers again", slog.String("node", node))
		}
		broken = false
	}
	for {
		at := c.dial.at()
		err := c.watchOnce(ctx, node, after, connected, func(revision uint64) {
			backoff.Reset()
			after = revision
			changed(revision)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if code := api.CodeOf(err); code != "" && code != api.CodeUnavailable && code != api.CodeInternal {
			return fmt.Errorf("watch node %s: %w", node, err)
		}
		if api.CodeOf(err) == "" {
			c.leave(ctx, at)
		}
		level := slog.LevelDebug
		if !broken { // once is enough, however long it stays away
			broken, level = true, slog.LevelWarn
		}
		c.log.Log(ctx, level, "watch broke, trying again", slog.String("node", node), slog.Any("err", err))
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return err
		}
	}
}

// errSilent: the other end is gone without a word, or the way to it is.
var errSilent = errors.New("no heartbeat of the controller")

// watchOnce reads one connection until it breaks, and says how.
func (c *Client) watchOnce(ctx context.Context, node string, after uint64, connected func(), changed func(uint64)) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	defer func() {
		if context.Cause(ctx) == errSilent {
			err = fmt.Errorf("%w for %s", errSilent, c.silence)
		}
	}()
	url := fmt.Sprintf("%s%s/watch?after=%d", base, nodePath(node), after)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := c.stream.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
		return asError(resp.Status, answer)
	}
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
			silence.Stop() // changed may take its time
			if err := c.deliver(event, value, changed); err != nil {
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

// deliver passes one event on. Events of a name that it does not know are
// left alone: a newer server may have them.
func (c *Client) deliver(event, data string, changed func(uint64)) error {
	switch event {
	case "":
		var change api.Change
		if err := json.Unmarshal([]byte(data), &change); err != nil {
			return fmt.Errorf("read event %.200q: %w", data, err)
		}
		changed(change.Revision)
	case api.EventError:
		return asError("an error event", []byte(data))
	}
	return nil
}
