//go:build linux

package containers

import (
	"context"
	"errors"
	"io"

	"github.com/nicferry/nicferry/nic"
)

// What follows carries out the orders of moves; it is what vmagent/tasks asks of
// an engine. All may be asked again: what is so already is no error. An order
// without a container is about the one that the move has made (nic.LabelMove).
// ErrNotFound says that there is no such container, ErrAgain that the same order
// may succeed if it is given again. No error holds a value of an environment.

var errNotBuilt = errors.New("not built yet")

// Describe says what counts of a container, by its name or id, for a move.
func (e *Engine) Describe(ctx context.Context, container string) (nic.ContainerFacts, error) {
	return nic.ContainerFacts{}, errNotBuilt
}

// Survey says what counts of the node for a move: of a container called task.Name,
// of image task.Ref, with task.Volumes and task.Networks. Moves is not filled in.
func (e *Engine) Survey(ctx context.Context, task nic.Task) (nic.NodeFacts, error) {
	return nic.NodeFacts{}, errNotBuilt
}

// Health waits until the container runs and, if it has a health check, that says
// healthy. An end of the container or of its health is an error.
func (e *Engine) Health(ctx context.Context, task nic.Task) error { return errNotBuilt }

// Policy sets the container's restart policy to task.Policy.
func (e *Engine) Policy(ctx context.Context, task nic.Task) error { return errNotBuilt }

// Create makes a container called task.Name from what Send sent as StreamConfig,
// with the move's labels and restart policy no, and returns its id. A volume of
// the node that is there already is used only if task.Volumes names it. What would
// let the container out of its box, or read others' files, is refused.
func (e *Engine) Create(ctx context.Context, task nic.Task, config []byte) (id string, err error) {
	return "", errNotBuilt
}

// Stop ends the container's processes and sees that it has none any more, within
// task.Grace, in whole seconds, or its own time if that is 0. One that is gone
// has none.
func (e *Engine) Stop(ctx context.Context, task nic.Task) error { return errNotBuilt }

// Start starts the container.
func (e *Engine) Start(ctx context.Context, task nic.Task) error { return errNotBuilt }

// Remove removes the container, which must not run, with its anonymous volumes
// unless task.Leave, and those of task.Volumes that carry the label of the move.
func (e *Engine) Remove(ctx context.Context, task nic.Task) error { return errNotBuilt }

// Freeze is refused with the reason.
func (e *Engine) Freeze(ctx context.Context, task nic.Task) error { return errNotBuilt }

// Pull gets the image task.Ref, such as NAME@sha256:…, from its registry, unless
// task.Image, its id, is there; it is an error if it brings another one.
func (e *Engine) Pull(ctx context.Context, task nic.Task, progress func(bytes, total int64)) error {
	return errNotBuilt
}

// Send returns what task.What and task.Ref name, and its size in bytes, 0 where
// that is not known: of StreamConfig and StreamLayer Ref, or else Container, is
// the container, of StreamImage an image's id, of StreamVolume a volume.
func (e *Engine) Send(ctx context.Context, task nic.Task) (io.ReadCloser, int64, error) {
	return nil, 0, errNotBuilt
}

// Take takes what Send returned elsewhere, up to the end of body. A volume is
// made with the move's label; one that is there already and is not the move's is
// refused. An anonymous volume is that of the move's container at the same path.
func (e *Engine) Take(ctx context.Context, task nic.Task, body io.Reader) error { return errNotBuilt }

// FindMove returns the id of the container that the move has made here.
func (e *Engine) FindMove(ctx context.Context, move nic.MoveID) (id string, found bool, err error) {
	return "", false, errNotBuilt
}
