//go:build linux

package containers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"

	"github.com/nicferry/nicferry/nic"
)

// unplanned is what a configuration asks of this node beyond what the move's order
// says: Docker networks, which others are on, and NICs, which this node may have and
// the one that it comes from may not.
func (e *Engine) unplanned(ctx context.Context, task nic.Task, c configuration) ([]string, error) {
	var all []string
	for _, name := range c.dockerNetworks() {
		if !slices.Contains(task.Networks, name) {
			all = append(all, "network "+clip(name))
		}
	}
	image, err := e.docker.imageLabels(ctx, c.ImageID)
	if err != nil {
		return nil, err
	}
	labels := maps.Clone(image) // which Docker adds
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, c.Config.Labels)
	for _, r := range nic.Requests(labels, image) { // as the agent asks by them
		planned := slices.ContainsFunc(task.Asks, func(p nic.Request) bool {
			return p.Interface == r.Interface && p.Network == r.Network && p.Tenant == r.Tenant
		})
		if !planned {
			all = append(all, fmt.Sprintf("a NIC %s of network %q that does not move with it", clip(r.Interface), clip(r.Network)))
		}
	}
	if c.Host.AutoRemove {
		all = append(all, "its removal as soon as it stops (--rm)")
	}
	for _, m := range c.Host.Mounts {
		o := m.VolumeOptions
		if m.Type == mount.TypeVolume && m.Source == "" && o != nil && o.DriverConfig != nil && o.DriverConfig.Name != "" && o.DriverConfig.Name != "local" {
			all = append(all, "volume of driver "+clip(o.DriverConfig.Name))
		}
	}
	return all, nil
}

// dockerNetworks are those of Docker's that the container would be on.
func (c configuration) dockerNetworks() []string {
	all := slices.Collect(maps.Keys(c.Networks))
	switch mode := string(c.Host.NetworkMode); mode {
	case "", "default":
		all = append(all, "bridge")
	case "none":
	default:
		all = append(all, mode)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// movedImages is where an image gets its name that came from a node: whoever asks for
// the name alone is to get what its registry has.
const movedImages = "nicferry.moved/"

// nameFor is the name that an image gets which has none here.
func nameFor(ref string, digests []string) string {
	if slices.ContainsFunc(digests, func(d string) bool { return repository(d) == repository(ref) }) {
		return ref // it came from that registry
	}
	return movedImages + ref
}

// repository is a reference without its tag or digest, as Docker shows it.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		ref = ref[:colon]
	}
	return strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
}
