//go:build linux

package tasks

import (
	"context"
	"io"

	"github.com/nicferry/nicferry/nic"
)

// Engine is what a Runner asks of the container engine. All may be asked again:
// what is so already is no error.
type Engine interface {
	Looker
	Changer
	Copier
}

// A Looker says what there is.
type Looker interface {
	// Describe says what counts of a container, by its name or id, for a move.
	Describe(ctx context.Context, container string) (nic.ContainerFacts, error)
	// Survey says what counts of the node for a move that the task asks about.
	Survey(ctx context.Context, task nic.Task) (nic.NodeFacts, error)
	// Health waits until the container runs and, if it says so of itself, is healthy.
	Health(ctx context.Context, task nic.Task) error
}

// A Changer changes containers.
type Changer interface {
	Policy(ctx context.Context, task nic.Task) error
	// Create makes a container from a configuration and returns its id. No error
	// holds any of the configuration.
	Create(ctx context.Context, task nic.Task, config []byte) (string, error)
	Stop(ctx context.Context, task nic.Task) error
	Start(ctx context.Context, task nic.Task) error
	Remove(ctx context.Context, task nic.Task) error
}

// A Copier reads and writes what goes from node to node. Progress, in bytes, may
// be told at any rate.
type Copier interface {
	Pull(ctx context.Context, task nic.Task, progress func(bytes, total int64)) error
	// Send returns what the task sends, and its size, 0 where that is not known.
	Send(ctx context.Context, task nic.Task) (io.ReadCloser, int64, error)
	// Take takes it, up to the end of body.
	Take(ctx context.Context, task nic.Task, body io.Reader) error
}
