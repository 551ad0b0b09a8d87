//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/nicferry/nicferry/nic"
)

// Create makes a container called task.Name from what Send sent as StreamConfig,
// with the move's labels and restart policy no, and returns its id. It keeps its
// hostname, also one that Docker chose: programs know each other by it. Its image
// must be there, and be task.Image if that is said; it is shown by its name if that
// means the same here, or nothing, and else by its id. A volume of the node that is
// there already is used only if task.Volumes names it. What would let the container
// out of its box, or read others' files, is ErrRefused. Another container of that
// name is ErrTaken.
func (e *Engine) Create(ctx context.Context, task nic.Task, config []byte) (id string, err error) {
	if err := checkName("container", task.Name); err != nil {
		return "", err
	}
	if _, err := nic.ParseMoveID(string(task.Move)); err != nil {
		return "", err
	}
	c, err := parse(config)
	if err != nil {
		return "", err
	}
	id, err = e.create(ctx, task, c)
	if err != nil {
		return "", fmt.Errorf("make container %s: %w", task.Name, secretsOf(c.Config, c.Host).hide(err))
	}
	return id, e.durable(ctx)
}

func (e *Engine) create(ctx context.Context, task nic.Task, c configuration) (id string, err error) {
	r, err := e.look(ctx, task.Name, false)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && r.Name != "/"+task.Name:
	case err != nil:
		return "", err
	case r.Config.Labels[nic.LabelMove] == string(task.Move):
		return r.ID, e.connect(ctx, r, c)
	default:
		return "", fmt.Errorf("%w: container %s has that name on this node: docker rename or docker rm it", ErrTaken, r.ID)
	}
	if task.Image != "" && task.Image != c.ImageID {
		return "", fmt.Errorf("%w: its image is %s, and the plan was told %s", ErrRefused, clip(c.ImageID), task.Image)
	}
	more, err := e.unplanned(ctx, task, c)
	if err != nil {
		return "", err
	}
	if err := perilsOf(c.Host).check(c.Host.NetworkMode, more...); err != nil {
		return "", err
	}
	if err := e.volumesFor(ctx, task, c); err != nil {
		return "", err
	}
	if c.Config.Image, err = e.imageFor(ctx, c.Config.Image, c.ImageID); err != nil {
		return "", err
	}
	adapt(task, c)
	made, err := e.docker.client.ContainerCreate(ctx, c.Config, c.Host, c.primary(), nil, task.Name)
	switch {
	case cerrdefs.IsConflict(err):
		return "", fmt.Errorf("%w: %w", ErrTaken, err)
	case err != nil:
		return "", e.docker.wrapOther("create", err)
	}
	if r, err = e.look(ctx, made.ID, false); err != nil {
		return "", err
	}
	if r.Image != c.ImageID { // its name got another meaning meanwhile
		err = e.docker.client.ContainerRemove(ctx, made.ID, container.RemoveOptions{RemoveVolumes: true})
		return "", errors.Join(fmt.Errorf("it came out with image %s instead of %s: %w", r.Image, c.ImageID, ErrAgain), err)
	}
	return made.ID, e.connect(ctx, r, c)
}

// adapt makes of the container's configuration that of the move's.
func adapt(task nic.Task, c configuration) {
	if c.Config.Labels == nil {
		c.Config.Labels = map[string]string{}
	}
	claims := make([]string, 0, len(task.Claims))
	for _, id := range task.Claims {
		claims = append(claims, string(id))
	}
	c.Config.Labels[nic.LabelMove] = string(task.Move)
	c.Config.Labels[nic.LabelClaim] = strings.Join(claims, ",")
	c.Host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	// What this engine hides of /proc and /sys is its own to say.
	c.Host.MaskedPaths, c.Host.ReadonlyPaths = nil, nil
	// So is how it runs containers, and whether they see the machine's cgroups: the
	// source may have another default.
	if slices.Contains(runtimes, c.Host.Runtime) {
		c.Host.Runtime = ""
	}
	if c.Host.CgroupnsMode.IsHost() {
		c.Host.CgroupnsMode = ""
	}
	for n := range c.Host.Mounts { // the volume is there: its driver has nothing to make
		if o := c.Host.Mounts[n].VolumeOptions; o != nil && o.DriverConfig != nil {
			o.DriverConfig.Options = nil
		}
	}
}

// volumesFor makes the named volumes that are not there.
func (e *Engine) volumesFor(ctx context.Context, task nic.Task, c configuration) error {
	if d := c.Host.VolumeDriver; d != "" && d != "local" {
		return fmt.Errorf("%w: its volumes are of the driver %s (--volume-driver)", ErrRefused, clip(d))
	}
	known := map[string]namedVolume{}
	for _, v := range c.Volumes {
		known[v.Name] = v
	}
	for _, name := range c.names() {
		may := slices.Contains(task.Volumes, name)
		if v := known[name]; !v.Plain {
			_, found, err := e.volume(ctx, name)
			switch {
			case err != nil:
				return err
			case !found || !may:
				return fmt.Errorf("%w: volume %s, of the driver %q, is not there, or no plan says that it may be used", ErrRefused, name, clip(v.Driver))
			}
			continue
		}
		if !may && !slices.Contains(task.NewVolumes, name) { // it would be in the way of who wants one of that name
			return fmt.Errorf("%w: volume %s is in no plan", ErrRefused, name)
		}
		if _, err := e.makeVolume(ctx, name, known[name].Labels, task.Move, may); err != nil {
			return err
		}
	}
	return nil
}

// imageFor says by which reference a container gets the image with the id. One that
// came from a registry gets its user's name if that means nothing here yet; one that
// came from a node gets that below nicferry.moved/, as another node must not say what
// is run here by a name. No name is ever taken from another image.
func (e *Engine) imageFor(ctx context.Context, ref, id string) (string, error) {
	there, err := e.imageID(ctx, id)
	switch {
	case err != nil:
		return "", err
	case there != id:
		return "", fmt.Errorf("its image %s is not on this node", clip(id))
	case ref == "" || checkImage(ref) != nil:
		return id, nil
	}
	if strings.Contains(ref, "@") || isID(ref) {
		named, err := e.imageID(ctx, ref)
		if err != nil || named == id {
			return ref, err
		}
		return id, nil
	}
	own, err := e.docker.client.ImageInspect(ctx, id)
	if err != nil {
		return "", e.docker.wrapOther("inspect image "+id, err)
	}
	for _, name := range slices.Compact([]string{ref, nameFor(ref, own.RepoDigests)}) {
		named, err := e.imageID(ctx, name)
		if err != nil || named == id {
			return name, err
		}
		if named == "" && name == nameFor(ref, own.RepoDigests) && e.docker.client.ImageTag(ctx, id, name) == nil {
			return name, nil
		}
	}
	return id, nil // it is shown by its id then
}

// primary is the Docker network that Docker is told of at once: older engines take
// no more than one then.
func (c configuration) primary() *network.NetworkingConfig {
	name := string(c.Host.NetworkMode)
	if n, is := c.Networks[name]; is && n != nil {
		return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{name: n}}
	}
	return nil
}

// connect connects the container to its other Docker networks.
func (e *Engine) connect(ctx context.Context, r container.InspectResponse, c configuration) error {
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		if r.NetworkSettings != nil && r.NetworkSettings.Networks[name] != nil || c.Networks[name] == nil {
			continue
		}
		if err := checkName("network", name); err != nil {
			return err
		}
		n := c.Networks[name]
		n.MacAddress, n.Links = "", nil
		if err := e.docker.client.NetworkConnect(ctx, name, r.ID, n); err != nil {
			return e.docker.wrapOther("connect it to network "+name, err)
		}
	}
	return nil
}
