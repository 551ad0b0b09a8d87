//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/nicferry/nicferry/nic"
)

// The methods of Engine that take a nic.Task carry out the orders of moves; they
// are what vmagent/tasks asks of an engine. All may be asked again: what is so
// already is no error. An order without a container is about the one that the move
// has made (nic.LabelMove). Of errors, ErrNotFound says that there is no such
// container, and Passing that the same order may succeed later. No error holds a
// value of a container's environment.

// Passing says whether what an order ended with may pass by itself.
func Passing(err error) bool {
	return errors.Is(err, ErrAgain) || errors.Is(err, ErrNoEngine) || client.IsErrConnectionFailed(err) || cerrdefs.IsUnavailable(err)
}

// What Docker takes for names, and nothing that means more in a URL.
var (
	nameForm  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`)
	imageForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.:@/-]{0,511}$`)
)

func checkName(what, name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%s %q: want letters, digits, _ . and -, and a letter or digit first", what, clip(name))
	}
	return nil
}

func checkImage(ref string) error {
	if !imageForm.MatchString(ref) || strings.Contains(ref, "..") {
		return fmt.Errorf("image %q: want NAME:TAG, NAME@sha256:… or an id", clip(ref))
	}
	return nil
}

// maxClip bounds what is quoted of something that may be of any length.
const maxClip = 200

func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxClip {
		return s
	}
	return strings.ToValidUTF8(s[:maxClip], "") + "…"
}

// ordered returns the id, or else the name, of the container that an order is about.
func (e *Engine) ordered(ctx context.Context, task nic.Task) (string, error) {
	if task.Container != "" {
		return task.Container, checkName("container", task.Container)
	}
	id, found, err := e.findMove(ctx, task.Move)
	if err == nil && !found {
		err = fmt.Errorf("container of move %s: %w here", task.Move, ErrNotFound)
	}
	return id, err
}

// findMove returns the id of the container that the move has made here.
func (e *Engine) findMove(ctx context.Context, move nic.MoveID) (id string, found bool, err error) {
	if _, err := nic.ParseMoveID(string(move)); err != nil {
		return "", false, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	label := filters.Arg("label", nic.LabelMove+"="+string(move))
	all, err := e.docker.client.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(label)})
	switch {
	case err != nil:
		return "", false, e.docker.wrap("look for the container of "+string(move), err)
	case len(all) > 1:
		return "", false, fmt.Errorf("there are %d containers with the label %s=%s: docker rm all but the one that the move has made", len(all), nic.LabelMove, move)
	case len(all) == 0:
		return "", false, nil
	}
	return all[0].ID, true, nil
}

// look inspects the container that an order is about. With sizes it takes as long
// as the engine needs to look at all that the container has written.
func (e *Engine) look(ctx context.Context, id string, sizes bool) (r container.InspectResponse, err error) {
	if err := checkName("container", id); err != nil {
		return r, err
	}
	if !sizes {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.opts.Timeout)
		defer cancel()
	}
	r, _, err = e.docker.client.ContainerInspectWithRaw(ctx, id, sizes)
	if err != nil {
		return r, e.docker.wrap("inspect container "+id, err)
	}
	if r.ContainerJSONBase == nil || r.State == nil || r.Config == nil || r.HostConfig == nil {
		return r, fmt.Errorf("inspect container %s: the engine left out its state or its config", id)
	}
	return r, nil
}

func runs(r container.InspectResponse) bool { return r.State.Running || r.State.Restarting }

// Policy sets the container's restart policy to task.Policy, which then outlives a
// loss of power.
func (e *Engine) Policy(ctx context.Context, task nic.Task) error {
	id, err := e.ordered(ctx, task)
	if err != nil {
		return err
	}
	want := container.RestartPolicy{Name: container.RestartPolicyMode(task.Policy.Name), MaximumRetryCount: task.Policy.Retries}
	if want.Name == "" {
		want.Name = container.RestartPolicyDisabled
	}
	r, err := e.look(ctx, id, false)
	if err == nil && r.HostConfig.RestartPolicy != want {
		ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
		defer cancel()
		_, err = e.docker.client.ContainerUpdate(ctx, id, container.UpdateConfig{RestartPolicy: want})
		err = e.docker.wrap(fmt.Sprintf("set restart policy of container %s to %s", id, want.Name), err)
	}
	if err != nil {
		return err
	}
	return e.durable(ctx)
}

// Stop ends the container's processes and sees that it has none any more, within
// task.Grace, in whole seconds, or its own time if that is 0. One that is gone
// has none.
func (e *Engine) Stop(ctx context.Context, task nic.Task) error {
	id, err := e.ordered(ctx, task)
	if err == nil {
		var grace *int
		if task.Grace > 0 {
			seconds := int((task.Grace.D() + time.Second - 1) / time.Second)
			grace = &seconds
		}
		err = e.docker.wrap("stop container "+id, e.docker.client.ContainerStop(ctx, id, container.StopOptions{Timeout: grace}))
	}
	var r container.InspectResponse
	if err == nil {
		r, err = e.look(ctx, id, false)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil && runs(r):
		return fmt.Errorf("stop container %s: it was started again at once: %w", id, ErrAgain)
	}
	return err
}

// Start starts the container.
func (e *Engine) Start(ctx context.Context, task nic.Task) error {
	id, err := e.ordered(ctx, task)
	if err != nil {
		return err
	}
	err = e.docker.wrapOther("start container "+id, e.docker.client.ContainerStart(ctx, id, container.StartOptions{}))
	if err == nil {
		return nil
	}
	// What Docker does not find may be a network; and what it says may quote the
	// command line.
	r, lookErr := e.look(context.WithoutCancel(ctx), id, false)
	if lookErr != nil {
		return lookErr
	}
	return secretsOf(r.Config, r.HostConfig).hide(err)
}

// Remove removes the container, which must not run, with its anonymous volumes
// unless task.Leave, and those of task.Volumes that carry the label of the move. None
// comes back with a loss of power.
func (e *Engine) Remove(ctx context.Context, task nic.Task) error {
	id, err := e.ordered(ctx, task)
	if err == nil {
		err = e.docker.client.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: !task.Leave})
		if cerrdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress") {
			return fmt.Errorf("remove container %s: %w: %w", id, ErrAgain, err)
		}
		err = e.docker.wrap("remove container "+id, err)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	var errs []error
	for _, name := range task.Volumes {
		errs = append(errs, e.removeVolume(ctx, name, task.Move))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return e.durable(ctx)
}
