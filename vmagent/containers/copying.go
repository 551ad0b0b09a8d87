//go:build linux

package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/nicferry/nicferry/nic"
)

// Send returns what task.What and task.Ref name, and its size in bytes, about, 0
// where that is not known. Of StreamConfig and StreamLayer, Container, or else
// Ref, is the container; of StreamImage, Ref is an image's id; of StreamVolume, a
// volume's name. The caller closes it; ctx ends it.
func (e *Engine) Send(ctx context.Context, task nic.Task) (io.ReadCloser, int64, error) {
	id := task.Container
	if id == "" {
		id = task.Ref
	}
	switch task.What {
	case nic.StreamConfig:
		config, err := e.config(ctx, id)
		return io.NopCloser(bytes.NewReader(config)), int64(len(config)), err
	case nic.StreamImage:
		return e.saveImage(ctx, task.Ref)
	case nic.StreamVolume:
		return e.sendVolume(ctx, task.Ref)
	case nic.StreamLayer:
		return e.sendLayer(ctx, id)
	}
	return nil, 0, fmt.Errorf("send %q: this agent does not know that; it may be older than its controller", task.What)
}

// Take takes what Send returned elsewhere, up to the end of body. A volume is
// made with the move's label; one that is there already and is not the move's is
// ErrTaken. An anonymous volume is that of the move's container at the same path.
// An image gets no name by it. What is taken never fills the disk, and is on it when
// Take returns.
func (e *Engine) Take(ctx context.Context, task nic.Task, body io.Reader) error {
	root, err := e.docker.client.Info(ctx)
	if err != nil {
		return e.docker.wrap("ask Docker where it keeps its data", err)
	}
	body = &roomy{from: body, dir: root.DockerRootDir}
	switch task.What {
	case nic.StreamImage:
		err = e.loadImage(ctx, task.Ref, body)
	case nic.StreamVolume:
		err = e.takeVolume(ctx, task, body)
	case nic.StreamLayer:
		err = e.takeLayer(ctx, task, body)
	default:
		return fmt.Errorf("take %q: this agent does not know that; it may be older than its controller", task.What)
	}
	if err != nil {
		return err
	}
	return e.durable(ctx)
}

// roomy reads from another node only while the disk has room: a node must not
// fill that of another.
type roomy struct {
	from   io.Reader
	dir    string
	unseen int64 // bytes to read until it looks again
}

const (
	lookAfter = 32 << 20
	maxSpared = 1 << 30 // bytes that are left free; on a small disk a 20th of it
)

// spared is how much of a disk is left free, in bytes.
func (d disk) spared() int64 { return min(d.total/20, maxSpared) }

// Read is the source's.
func (r *roomy) Read(p []byte) (int, error) {
	if r.unseen <= 0 {
		d, err := diskOf(r.dir)
		if err != nil {
			return 0, err
		}
		if d.free < d.spared() {
			return 0, fmt.Errorf("%w: %s has %d MB free, and the rest is kept for what runs: docker system prune", ErrRefused, r.dir, d.free>>20)
		}
		if d.freeFiles < d.files/20 { // empty ones take next to nothing of a stream
			return 0, fmt.Errorf("%w: %s has room for %d files, and the rest is kept for what runs: docker system prune", ErrRefused, r.dir, d.freeFiles)
		}
		r.unseen = lookAfter
	}
	n, err := r.from.Read(p)
	r.unseen -= int64(n)
	return n, err
}

// piped returns what write writes. Closing it ends and awaits write.
func piped(write func(io.Writer) error) io.ReadCloser {
	r, w := io.Pipe()
	p := &pipe{PipeReader: r}
	p.writing.Go(func() { w.CloseWithError(write(w)) })
	return p
}

type pipe struct {
	*io.PipeReader
	writing sync.WaitGroup
}

var errClosed = errors.New("who reads it has closed it")

// Close ends the writer.
func (p *pipe) Close() error {
	err := p.CloseWithError(errClosed)
	p.writing.Wait()
	return err
}
