//go:build linux

package tasks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/nicferry/nicferry/nic"
)

// errStream: the way between the nodes has failed, not one of its ends.
var errStream = errors.New("stream through the controller")

// send puts into the stream what the task names.
func (r *Runner) send(ctx context.Context, task nic.Task) (*nic.Copied, error) {
	told := r.tell(ctx, task.ID)
	defer told.end()
	source, total, err := r.opts.Engine.Send(ctx, task)
	if err != nil {
		return nil, err
	}
	body := &counted{from: source, told: func(bytes int64) { told.set(bytes, total) }}
	defer body.Close()
	copied, err := r.opts.Controller.SendStream(ctx, r.opts.Node, task.Stream, body)
	if broken := body.broken(); err != nil && broken != nil {
		return nil, fmt.Errorf("read what is to be sent: %w", broken)
	}
	if err != nil {
		return nil, fmt.Errorf("send %s: %w: %w", task.What, errStream, err)
	}
	return said(task, copied), nil
}

// accept takes what the stream brings.
func (r *Runner) accept(ctx context.Context, task nic.Task, sure func() error) (*nic.Copied, error) {
	told := r.tell(ctx, task.ID)
	defer told.end()
	copied, err := r.receive(ctx, task, func(bytes int64) { told.set(bytes, task.Total) }, func(body io.Reader) error {
		whole := bufio.NewReaderSize(body, chunk)
		if _, err := whole.Peek(1); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := sure(); err != nil { // it may have waited long for its sender
			return err
		}
		return r.opts.Engine.Take(ctx, task, whole)
	})
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", task.What, err)
	}
	return said(task, copied), nil
}

// chunk is how many bytes are read at a time.
const chunk = 64 << 10

// create makes a container from the configuration that the stream brings. It is
// read to its end before: half of it makes none.
func (r *Runner) create(ctx context.Context, task nic.Task, sure func() error) (id string, err error) {
	_, err = r.receive(ctx, task, func(int64) {}, func(body io.Reader) error {
		config, err := io.ReadAll(io.LimitReader(body, maxConfig+1))
		switch {
		case err != nil:
			return err
		case len(config) > maxConfig:
			return fmt.Errorf("configuration of container %s: more than %d bytes", task.Name, maxConfig)
		}
		if err := sure(); err != nil {
			return err
		}
		id, err = r.opts.Engine.Create(ctx, task, config)
		return err
	})
	return id, err
}

// maxConfig bounds the bytes of a container's configuration.
const maxConfig = 4 << 20

// said is what is told of a copy. Of a configuration the sum is not: it is stored,
// and there are secrets to be guessed by it.
func said(task nic.Task, copied nic.Copied) *nic.Copied {
	if task.What == nic.StreamConfig || task.Kind == nic.TaskCreate {
		copied.SHA256 = ""
	}
	return &copied
}

// receive has use read the stream, to its end: who has sent it is to hear that all
// has come. The error is use's if it had one before the stream broke.
func (r *Runner) receive(ctx context.Context, task nic.Task, told func(int64), use func(io.Reader) error) (nic.Copied, error) {
	pr, pw := io.Pipe()
	var using sync.WaitGroup
	var fault error // of use, when the stream was whole until then
	using.Go(func() {
		body := &counted{from: pr, told: told}
		err := r.guarded(task, func() error { return use(body) })
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		if body.broken() == nil {
			fault = err
		}
		if err == nil {
			err = io.ErrClosedPipe
		}
		pr.CloseWithError(err)
	})
	copied, err := r.opts.Controller.TakeStream(ctx, r.opts.Node, task.Stream, pw)
	pw.CloseWithError(err) // nil is the end
	using.Wait()
	switch {
	case fault != nil:
		return copied, fault
	case err != nil:
		return copied, fmt.Errorf("%w: %w", errStream, err)
	}
	return copied, nil
}

// counted tells how many bytes were read through it. A reader may go on for a
// moment in another goroutine after its caller has given it up.
type counted struct {
	from io.Reader
	told func(bytes int64)

	mu     sync.Mutex
	bytes  int64
	closed bool
	err    error // what broke the reading, unless it was closed before
}

// Read is the source's.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += int64(n)
	c.told(c.bytes)
	if err != nil && !errors.Is(err, io.EOF) && !c.closed {
		c.err = err
	}
	return n, err
}

// Close closes the source, once, if it can be. A read that waits ends, which is not the
// source's fault.
func (c *counted) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return nil
	}
	if closer, ok := c.from.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// broken is why the source has ended before its end; nil if it has not.
func (c *counted) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
