//go:build linux

package containers

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/nicferry/nicferry/nic"
)

const (
	defaultGrace = 10 * time.Second // of docker stop
	maxFirst     = 10               // paths shown of what was written
	maxLooks     = 32               // paths asked whether they are directories
)

// Describe says what counts of a container, by its name or id, for a move. It
// takes as long as the engine needs to look at all that the container has written,
// and the agent at its volumes.
func (e *Engine) Describe(ctx context.Context, id string) (nic.ContainerFacts, error) {
	r, err := e.look(ctx, id, true)
	if err != nil {
		return nic.ContainerFacts{}, err
	}
	f := facts(r)
	image, err := e.docker.client.ImageInspect(ctx, r.Image)
	if err != nil && !cerrdefs.IsNotFound(err) { // it may have been removed by force
		return f, e.docker.wrap("inspect image "+r.Image, err)
	}
	f.Digests, f.Size = image.RepoDigests, image.Size
	if f.Memory == 0 && r.State.Running {
		f.Memory = e.memoryUsed(ctx, r.ID)
	}
	for _, m := range r.Mounts {
		if m.Type != mount.TypeVolume {
			continue
		}
		v, err := e.volumeFacts(ctx, r, m)
		if err != nil {
			return f, err
		}
		f.Volumes = append(f.Volumes, v)
	}
	changes, err := e.docker.client.ContainerDiff(ctx, r.ID)
	if err != nil {
		return f, e.docker.wrap("list what container "+r.ID+" has written", err)
	}
	paths := e.withoutDirectories(ctx, r.ID, written(changes, mountPoints(r)))
	f.Written, f.WrittenFirst = len(paths), paths[:min(len(paths), maxFirst)]
	for n, p := range f.WrittenFirst {
		f.WrittenFirst[n] = clip(p)
	}
	if f.Written > 0 && r.SizeRw != nil {
		f.WrittenBytes = *r.SizeRw
	}
	return f, nil
}

// facts are those that an inspect tells by itself.
func facts(r container.InspectResponse) nic.ContainerFacts {
	h, p := r.HostConfig, perilsOf(r.HostConfig)
	f := nic.ContainerFacts{
		ID: r.ID, Name: strings.TrimPrefix(r.Name, "/"), Image: r.Config.Image, ImageID: r.Image,
		Running: runs(r), Paused: r.State.Paused, Grace: nic.Duration(defaultGrace),
		Policy:      nic.RestartPolicy{Name: string(h.RestartPolicy.Name), Retries: h.RestartPolicy.MaximumRetryCount},
		Health:      r.State.Health != nil || r.Config.Healthcheck != nil && len(r.Config.Healthcheck.Test) > 0 && r.Config.Healthcheck.Test[0] != "NONE",
		NetworkMode: string(h.NetworkMode),
		Privileged:  p.privileged, Devices: p.devices, Shares: p.shares, Binds: p.binds, Published: p.published,
		AutoRemove: h.AutoRemove, Memory: h.Memory, LogDriver: h.LogConfig.Type,
	}
	if s := r.Config.StopTimeout; s != nil {
		f.Grace = nic.Duration(time.Duration(*s) * time.Second)
	}
	if r.NetworkSettings != nil {
		f.Networks = dockerNetworks(r.NetworkSettings.Networks, r.State.Running)
	}
	return f
}

// memoryUsed is what the container uses, without what the kernel would give back
// at once; 0 where the engine cannot tell.
func (e *Engine) memoryUsed(ctx context.Context, id string) int64 {
	resp, err := e.docker.client.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var s container.StatsResponse
	if json.NewDecoder(resp.Body).Decode(&s) != nil {
		return 0
	}
	idle := s.MemoryStats.Stats["inactive_file"]
	if old, is := s.MemoryStats.Stats["total_inactive_file"]; is { // control groups of version 1
		idle = old
	}
	return int64(s.MemoryStats.Usage - min(idle, s.MemoryStats.Usage))
}

// mountPoints are the paths that Docker itself makes in a container.
func mountPoints(r container.InspectResponse) []string {
	all := []string{"/dev", "/proc", "/sys", "/run/secrets"}
	for _, m := range r.Mounts {
		all = append(all, path.Clean(m.Destination))
	}
	for target := range r.HostConfig.Tmpfs {
		all = append(all, path.Clean(target))
	}
	if r.HostConfig.Init != nil && *r.HostConfig.Init {
		all = append(all, "/sbin/docker-init")
	}
	return all
}

// written lists, sorted, what was changed beside mount points, without the
// directories that were changed only because of what is in them.
func written(changes []container.FilesystemChange, mounts []string) []string {
	parents := map[string]struct{}{}
	for _, point := range mounts { // docker diff shows the way there
		for p := path.Dir(point); p != "/" && p != "."; p = path.Dir(p) {
			parents[p] = struct{}{}
		}
	}
	for _, c := range changes {
		parents[path.Dir(c.Path)] = struct{}{}
	}
	beside := func(p string) bool {
		return !slices.ContainsFunc(mounts, func(point string) bool {
			return p == point || strings.HasPrefix(p, point+"/")
		})
	}
	var all []string
	for _, c := range changes {
		_, parent := parents[c.Path]
		if beside(c.Path) && (!parent || c.Kind == container.ChangeDelete) {
			all = append(all, c.Path)
		}
	}
	slices.Sort(all)
	return all
}

// withoutDirectories leaves out those that are there and empty of changes, such as
// a /tmp in which something was made and deleted again.
func (e *Engine) withoutDirectories(ctx context.Context, id string, paths []string) []string {
	if len(paths) > maxLooks {
		return paths
	}
	return slices.DeleteFunc(paths, func(p string) bool {
		st, err := e.docker.client.ContainerStatPath(ctx, id, p)
		return err == nil && st.Mode.IsDir()
	})
}
