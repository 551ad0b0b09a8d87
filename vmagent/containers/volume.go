//go:build linux

package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers/tree"
)

// A volume is read and written where Docker keeps it, and not by docker cp: that
// drops extended attributes and access lists, cuts times to seconds, and fills
// holes. The agent needs rights for it that it otherwise has no use for.

// errRights is what the agent says where it lacks them.
var errRights = errors.New("the agent may not read and write Docker's volumes: give it the drop-in nicferry-agent-moves.conf, and restart it")

func rights(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", errRights, err)
	}
	return err
}

// volume looks one up.
func (e *Engine) volume(ctx context.Context, name string) (v volume.Volume, found bool, err error) {
	if err := checkName("volume", name); err != nil {
		return v, false, err
	}
	v, err = e.docker.client.VolumeInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return v, false, nil
	}
	return v, err == nil, e.docker.wrapOther("inspect volume "+name, err)
}

// plain says whether a volume is nothing but a directory of Docker's. One of the
// local driver with options is mounted from somewhere else.
func plain(v volume.Volume) bool { return v.Driver == "local" && len(v.Options) == 0 }

func driverOf(v volume.Volume) string {
	if v.Driver == "local" && len(v.Options) > 0 {
		return "local with options" // which may hold a password
	}
	return v.Driver
}

// anonymous says whether a mounted volume has no name that its user knows, so that
// it goes with its container.
func anonymous(h *container.HostConfig, m container.MountPoint) bool {
	for _, b := range h.Binds {
		if source, _ := bound(b); source == m.Name {
			return false
		}
	}
	named := slices.ContainsFunc(h.Mounts, func(o mount.Mount) bool { return o.Source == m.Name })
	return !named && len(h.VolumesFrom) == 0 && len(m.Name) == 64 && isID(m.Name)
}

func (e *Engine) volumeFacts(ctx context.Context, r container.InspectResponse, m container.MountPoint) (nic.VolumeFacts, error) {
	f := nic.VolumeFacts{Name: m.Name, Driver: m.Driver, Target: m.Destination, Anonymous: anonymous(r.HostConfig, m)}
	v, found, err := e.volume(ctx, m.Name)
	if err != nil || !found {
		return f, err
	}
	f.Driver = driverOf(v)
	users, err := e.usersOf(ctx, m.Name)
	if err != nil {
		return f, err
	}
	for _, u := range users {
		if u.ID != r.ID {
			f.Others = append(f.Others, strings.TrimPrefix(slices.Concat(u.Names, []string{u.ID})[0], "/"))
		}
	}
	if plain(v) {
		// Without rights its size is not known; that it cannot be sent is said then.
		if f.Bytes, err = tree.Size(ctx, v.Mountpoint); err != nil && !errors.Is(err, fs.ErrPermission) {
			return f, err
		}
	}
	return f, nil
}

// usersOf lists the containers that have a volume, running or not.
func (e *Engine) usersOf(ctx context.Context, name string) ([]container.Summary, error) {
	all, err := e.docker.client.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("volume", name))})
	return all, e.docker.wrapOther("list users of volume "+name, err)
}

// makeVolume makes a volume of the move's, or finds it. One that is there already
// and may not be used is ErrTaken.
func (e *Engine) makeVolume(ctx context.Context, name string, labels map[string]string, move nic.MoveID, may bool) (volume.Volume, error) {
	v, found, err := e.volume(ctx, name)
	switch {
	case err != nil:
		return v, err
	case found && (may || v.Labels[nic.LabelMove] == string(move)):
		return v, nil
	case found:
		return v, fmt.Errorf("make volume %s: %w: there is one on this node that %s has not made: docker volume rm %s, if nobody needs it", name, ErrTaken, move, name)
	}
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[nic.LabelMove] = string(move)
	v, err = e.docker.client.VolumeCreate(ctx, volume.CreateOptions{Name: name, Driver: "local", Labels: labels})
	return v, e.docker.wrapOther("make volume "+name, err)
}

// removeVolume removes a volume that the move has made, and no other.
func (e *Engine) removeVolume(ctx context.Context, name string, move nic.MoveID) error {
	v, found, err := e.volume(ctx, name)
	if err != nil || !found || move == "" || v.Labels[nic.LabelMove] != string(move) {
		return err
	}
	err = e.docker.client.VolumeRemove(ctx, name, false)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return e.docker.wrapOther("remove volume "+name, err)
}

// volumeNote goes before a volume. An anonymous one has another name on each
// node, so the path in the container says which it is.
type volumeNote struct {
	Anonymous bool     `json:"anonymous,omitempty"`
	Targets   []string `json:"targets,omitempty"`
}

func (e *Engine) sendVolume(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	v, found, err := e.volume(ctx, name)
	switch {
	case err != nil:
		return nil, 0, err
	case !found:
		return nil, 0, fmt.Errorf("send volume %s: there is none on this node", name)
	case !plain(v):
		return nil, 0, fmt.Errorf("send volume %s: %w: its driver is %s", name, ErrRefused, driverOf(v))
	}
	users, err := e.usersOf(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	var note volumeNote
	for _, u := range users {
		r, err := e.look(ctx, u.ID, false)
		if err != nil {
			return nil, 0, err
		}
		for _, m := range r.Mounts {
			if m.Name == name && anonymous(r.HostConfig, m) {
				note.Anonymous = true
				note.Targets = append(note.Targets, m.Destination)
			}
		}
	}
	size, err := tree.Size(ctx, v.Mountpoint)
	if err != nil {
		return nil, 0, rights(err)
	}
	data, err := json.Marshal(note)
	if err != nil {
		return nil, 0, fmt.Errorf("send volume %s: %w", name, err)
	}
	return piped(func(w io.Writer) error {
		if err := tree.Pack(ctx, v.Mountpoint, w, tree.Options{Note: string(data)}); err != nil {
			return fmt.Errorf("send volume %s: %w", name, rights(err))
		}
		return nil
	}), size, nil
}

func (e *Engine) takeVolume(ctx context.Context, task nic.Task, body io.Reader) error {
	a, err := tree.Open(body)
	if err != nil {
		return fmt.Errorf("take volume %s: %w", task.Ref, err)
	}
	var note volumeNote
	if err := json.Unmarshal([]byte(a.Note), &note); err != nil {
		return fmt.Errorf("take volume %s: %w: its note: %w", task.Ref, tree.ErrBroken, err)
	}
	var v volume.Volume
	if note.Anonymous {
		v, err = e.anonymousVolume(ctx, task.Move, note.Targets)
	} else {
		v, err = e.makeVolume(ctx, task.Ref, nil, task.Move, false)
	}
	if err != nil {
		return fmt.Errorf("take volume %s: %w", task.Ref, err)
	}
	if !plain(v) {
		return fmt.Errorf("take volume %s: %w: its driver here is %s", task.Ref, ErrRefused, driverOf(v))
	}
	users, err := e.usersOf(ctx, v.Name)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.State == container.StateRunning || u.State == container.StatePaused || u.State == container.StateRestarting {
			return fmt.Errorf("take volume %s: %w: container %s runs with it", v.Name, ErrRefused, u.ID)
		}
	}
	if err := tree.Clear(v.Mountpoint); err != nil {
		return rights(err) // of half a copy, or of what the image has there
	}
	if err := a.Unpack(ctx, v.Mountpoint, tree.Options{}); err != nil {
		return fmt.Errorf("take volume %s: %w", v.Name, rights(err))
	}
	return nil
}

// anonymousVolume finds that of the move's container. It is never one that has a
// name, or another user.
func (e *Engine) anonymousVolume(ctx context.Context, move nic.MoveID, targets []string) (v volume.Volume, err error) {
	id, found, err := e.findMove(ctx, move)
	if err == nil && !found {
		err = fmt.Errorf("container of move %s: %w here", move, ErrNotFound)
	}
	if err != nil {
		return v, err
	}
	r, err := e.look(ctx, id, false)
	if err != nil {
		return v, err
	}
	for _, m := range r.Mounts {
		if m.Type != mount.TypeVolume || !slices.Contains(targets, m.Destination) || !anonymous(r.HostConfig, m) {
			continue
		}
		users, err := e.usersOf(ctx, m.Name)
		if err != nil {
			return v, err
		}
		if len(users) > 1 {
			return v, fmt.Errorf("%w: %d containers have it", ErrRefused, len(users))
		}
		v, _, err := e.volume(ctx, m.Name)
		return v, err
	}
	return v, fmt.Errorf("%w: container %s has no anonymous volume at %s", ErrRefused, id, clip(strings.Join(targets, ", ")))
}
