//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

// api is what we use of an engine to watch containers, in our own words, so that
// a test can stand in for it. Errors are of our kinds.
type api interface {
	// about asks for what decides whether the engine can be served.
	about(ctx context.Context) (about, error)
	// ping asks for any answer.
	ping(ctx context.Context) error
	inspect(ctx context.Context, id string) (Container, error)
	// list returns all containers, running or not, or an error.
	list(ctx context.Context) ([]Container, error)
	// follow subscribes, calls subscribed, and passes the id in each event to
	// event, until the stream ends, which is an error, or ctx does. Events of
	// the last second before the call may be among them.
	follow(ctx context.Context, subscribed func(), event func(id string)) error
	close() error
}

// about is what an engine says of itself.
type about struct {
	Version    string   // such as 20.10.24
	APIVersion string   // the newest it speaks, such as 1.41
	OSType     string   // of its containers, such as linux
	OS         string   // the machine's, such as Debian GNU/Linux 12 (bookworm)
	Security   []string // its security options, such as name=rootless
}

// docker speaks to an engine through Docker's own client.
type docker struct {
	client *client.Client
	socket string
	images images
}

// dial checks that something listens, so that the error can say what is wrong,
// and makes a client that agrees on a version at its first call.
func dial(ctx context.Context, socket string) (*docker, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w at %s: start Docker, or set the path of its socket: %w", ErrNoEngine, socket, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("connect to Docker at %s: run as root or as a member of the group docker: %w", socket, err)
	case err != nil:
		return nil, fmt.Errorf("connect to Docker at %s: %w", socket, err)
	}
	conn.Close()
	c, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("make Docker client for %s: %w", socket, err)
	}
	return &docker{client: c, socket: socket}, nil
}

func (d *docker) close() error { return d.client.Close() }

func (d *docker) ping(ctx context.Context) error {
	_, err := d.client.Ping(ctx)
	return d.wrap("ping Docker", err)
}

func (d *docker) about(ctx context.Context) (about, error) {
	version, err := d.client.ServerVersion(ctx)
	if err != nil {
		return about{}, d.wrap("ask Docker for its version", err)
	}
	a := about{Version: version.Version, APIVersion: version.APIVersion, OSType: version.Os}
	var info system.Info
	if info, err = d.client.Info(ctx); err != nil {
		return a, d.wrap("ask Docker what it runs on", err)
	}
	a.OS, a.Security = info.OperatingSystem, info.SecurityOptions
	return a, nil
}

func (d *docker) inspect(ctx context.Context, id string) (Container, error) {
	r, err := d.client.ContainerInspect(ctx, id)
	if err != nil {
		return Container{}, d.wrap("inspect container "+id, err)
	}
	if r.ContainerJSONBase == nil || r.State == nil || r.Config == nil || r.HostConfig == nil {
		return Container{}, fmt.Errorf("inspect container %s: the engine left out its state or its config", id)
	}
	c := Container{
		ID: r.ID, Name: strings.TrimPrefix(r.Name, "/"),
		Image: r.Config.Image, Labels: r.Config.Labels,
		NetworkMode: string(r.HostConfig.NetworkMode),
		Running:     r.State.Running && !r.State.Restarting && r.State.Pid > 0,
		Unstarted:   r.State.Status == container.StateCreated,

		ResolvConfPath: ownFile(r.ResolvConfPath, r.ID, "resolv.conf"),
		HostsPath:      ownFile(r.HostsPath, r.ID, "hosts"),
		Hostname:       r.Config.Hostname, Domainname: r.Config.Domainname,
		Processors: r.HostConfig.CpusetCpus,
		UserDNS:    len(r.HostConfig.DNS) > 0, UserSearch: len(r.HostConfig.DNSSearch) > 0,
		Privileged: r.HostConfig.Privileged,
	}
	for _, d := range r.HostConfig.Devices {
		c.Devices = append(c.Devices, d.PathOnHost)
	}
	if r.NetworkSettings != nil {
		c.SandboxKey = r.NetworkSettings.SandboxKey
		c.DockerNetworks = dockerNetworks(r.NetworkSettings.Networks, c.Running)
	}
	if c.asks() {
		if c.ImageLabels, err = d.imageLabels(ctx, r.Image); err != nil {
			return Container{}, err
		}
	}
	if !c.Running {
		return c, nil
	}
	c.PID = r.State.Pid
	if c.StartedAt, err = time.Parse(time.RFC3339Nano, r.State.StartedAt); err != nil {
		return Container{}, fmt.Errorf("inspect container %s: start time: %w", id, err)
	}
	return c, nil
}

// dockerNetworks are those that give the container an interface. One that runs
// has an endpoint there; an engine without a default bridge lists that and gives
// none.
func dockerNetworks(listed map[string]*network.EndpointSettings, running bool) []string {
	var names []string
	for name, endpoint := range listed {
		if name == "none" || name == "host" || running && (endpoint == nil || endpoint.EndpointID == "") {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (d *docker) list(ctx context.Context) ([]Container, error) {
	summaries, err := d.client.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, d.wrap("list containers", err)
	}
	all := make([]Container, 0, len(summaries))
	for _, s := range summaries {
		c := Container{
			ID: s.ID, Image: s.Image, Labels: s.Labels,
			NetworkMode: s.HostConfig.NetworkMode,
			Running:     s.State == container.StateRunning || s.State == container.StatePaused,
			Unstarted:   s.State == container.StateCreated,
		}
		for _, name := range s.Names { // links add names with two slashes
			if n := strings.TrimPrefix(name, "/"); !strings.Contains(n, "/") {
				c.Name = n
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// overlap is how far back a subscription reaches. The engine answers before it
// has subscribed us, and replays what it remembers.
const overlap = time.Second

func (d *docker) follow(ctx context.Context, subscribed func(), event func(id string)) error {
	since := time.Now().Add(-overlap)
	messages, errs := d.client.Events(ctx, events.ListOptions{
		Since: strconv.FormatInt(since.Unix(), 10),
		Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("event", string(events.ActionCreate)),
			filters.Arg("event", string(events.ActionStart)),
			filters.Arg("event", string(events.ActionDie)),
			filters.Arg("event", string(events.ActionDestroy)),
			filters.Arg("event", string(events.ActionRename)),
		),
	})
	select {
	case err := <-errs:
		return d.wrap("subscribe to Docker's events", err)
	default:
		subscribed()
	}
	for {
		select {
		case m := <-messages:
			event(m.Actor.ID)
		case err := <-errs:
			return d.wrap("read Docker's events", err)
		}
	}
}

// wrapOther is wrap for a question about something else than a container:
// ErrNotFound would say that there is no such container.
func (d *docker) wrapOther(what string, err error) error {
	if cerrdefs.IsNotFound(err) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return d.wrap(what, err)
}

// wrap gives an error of the client our kind.
func (d *docker) wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case cerrdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w: %w", what, ErrNotFound, err)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("%s: %w at %s: %w", what, ErrNoEngine, d.socket, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
