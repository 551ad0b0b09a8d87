//go:build linux

package containers

import (
	"context"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers/tree"
)

// What a container has written is read and written as the upper directory of its
// overlay file system. By docker cp nothing can be deleted on the target, and what
// was deleted would be there again. The kernel allows such changes while nothing
// is mounted.

// upper returns the upper directory of a container.
func upper(r container.InspectResponse) (string, error) {
	if g := r.GraphDriver; g.Name == "overlay2" && g.Data["UpperDir"] != "" {
		return g.Data["UpperDir"], nil
	}
	name := r.GraphDriver.Name
	if name == "" {
		name = r.Driver
	}
	return "", fmt.Errorf("%w: Docker keeps what container %s has written by the storage driver %q, and that is copied only from overlay2 to overlay2", ErrRefused, r.ID, name)
}

func (e *Engine) sendLayer(ctx context.Context, id string) (io.ReadCloser, int64, error) {
	r, err := e.look(ctx, id, false)
	if err != nil {
		return nil, 0, err
	}
	dir, err := upper(r)
	if err != nil {
		return nil, 0, err
	}
	size, err := tree.Size(ctx, dir)
	if err != nil {
		return nil, 0, rights(err)
	}
	return piped(func(w io.Writer) error {
		if err := tree.Pack(ctx, dir, w, tree.Options{Note: r.Image, Overlay: true}); err != nil {
			return fmt.Errorf("send what container %s has written: %w", r.ID, rights(err))
		}
		return nil
	}), size, nil
}

// takeLayer puts it into the move's container, which has never run.
func (e *Engine) takeLayer(ctx context.Context, task nic.Task, body io.Reader) error {
	id, found, err := e.findMove(ctx, task.Move)
	if err == nil && !found {
		err = fmt.Errorf("container of move %s: %w here", task.Move, ErrNotFound)
	}
	if err != nil {
		return err
	}
	r, err := e.look(ctx, id, false)
	if err != nil {
		return err
	}
	dir, err := upper(r)
	if err != nil {
		return err
	}
	if runs(r) {
		return fmt.Errorf("take what a container has written: %w: container %s runs", ErrRefused, id)
	}
	a, err := tree.Open(body)
	if err != nil {
		return fmt.Errorf("take what a container has written: %w", err)
	}
	if a.Note != r.Image {
		return fmt.Errorf("take what a container has written: %w: it lies over image %s, and container %s is of image %s", ErrRefused, clip(a.Note), id, r.Image)
	}
	if err := tree.Clear(dir); err != nil {
		return rights(err)
	}
	if err := a.Unpack(ctx, dir, tree.Options{Overlay: true}); err != nil {
		return fmt.Errorf("take what a container has written: %w", rights(err))
	}
	return nil
}
