//go:build linux

package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"github.com/nicferry/nicferry/nic"
)

// configSchema is raised when an older agent would make another container of it.
const configSchema = 1

// A configuration is all that makes a container what it is, but for its id. It has
// secrets in it, and is in streams only.
type configuration struct {
	Schema  int                   `json:"schema"`
	ImageID string                `json:"imageId"`
	Config  *container.Config     `json:"config"`
	Host    *container.HostConfig `json:"host"`
	// Networks are Docker's own, by name.
	Networks map[string]*network.EndpointSettings `json:"networks,omitempty"`
	// Volumes are the named ones: what to make where there is none.
	Volumes []namedVolume `json:"volumes,omitempty"`
}

type namedVolume struct {
	Name   string            `json:"name"`
	Plain  bool              `json:"plain"`
	Driver string            `json:"driver,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// config returns a container's configuration, as Create reads it.
func (e *Engine) config(ctx context.Context, id string) ([]byte, error) {
	r, err := e.look(ctx, id, false)
	if err != nil {
		return nil, err
	}
	c := portable(r)
	for _, m := range r.Mounts {
		if m.Type != mount.TypeVolume || anonymous(r.HostConfig, m) {
			continue
		}
		v, found, err := e.volume(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		if found {
			c.Volumes = append(c.Volumes, namedVolume{m.Name, plain(v), driverOf(v), without(v.Labels, nic.LabelMove)})
		}
	}
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write down the configuration of container %s: %w", id, err)
	}
	return data, nil
}

// portable takes a configuration from what Docker tells of a container.
func portable(r container.InspectResponse) configuration {
	c := configuration{Schema: configSchema, ImageID: r.Image, Config: r.Config, Host: r.HostConfig}
	//lint:ignore SA1019 an engine before API 1.44 has it there
	c.Config.MacAddress = ""
	c.Config.Image = strings.TrimPrefix(c.Config.Image, movedImages)
	c.Config.Labels = without(c.Config.Labels, nic.LabelMove, nic.LabelClaim)
	// Docker takes no entry point for the image's; an empty word is none at all.
	if len(c.Config.Entrypoint) == 0 {
		c.Config.Entrypoint = []string{""}
	}
	c.Host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	if r.NetworkSettings == nil {
		return c
	}
	for name, n := range r.NetworkSettings.Networks {
		if name == "none" || name == "host" || name == "bridge" || n == nil {
			continue
		}
		if string(c.Host.NetworkMode) == n.NetworkID {
			c.Host.NetworkMode = container.NetworkMode(name)
		}
		if c.Networks == nil {
			c.Networks = map[string]*network.EndpointSettings{}
		}
		c.Networks[name] = &network.EndpointSettings{
			IPAMConfig: n.IPAMConfig, DriverOpts: n.DriverOpts, GwPriority: n.GwPriority,
			// Docker adds the container's id, which is another one there, and its hostname.
			Aliases: slices.DeleteFunc(slices.Clone(n.Aliases), func(a string) bool { return a == r.ID[:12] || a == r.Config.Hostname }),
		}
	}
	return c
}

func without(labels map[string]string, keys ...string) map[string]string {
	labels = maps.Clone(labels)
	for _, k := range keys {
		delete(labels, k)
	}
	return labels
}

// parse reads a configuration that may come from anybody. No error quotes it.
func parse(data []byte) (configuration, error) {
	var c configuration
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read the container's configuration: %w: it is not what an agent sends", ErrRefused)
	}
	if c.Schema != configSchema {
		return c, fmt.Errorf("read the container's configuration: %w: it has schema %d, and this agent knows %d: update the older of the two agents", ErrRefused, c.Schema, configSchema)
	}
	if c.Config == nil || c.Host == nil || c.ImageID == "" {
		return c, fmt.Errorf("read the container's configuration: %w: a part is missing", ErrRefused)
	}
	return c, checkImage(c.ImageID)
}

// names are the volumes that a configuration mounts by name, each once.
func (c configuration) names() []string {
	var all []string
	for _, b := range c.Host.Binds {
		if source, target := bound(b); target != "" {
			all = append(all, source)
		}
	}
	for _, m := range c.Host.Mounts {
		if m.Type == mount.TypeVolume && m.Source != "" {
			all = append(all, m.Source)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
