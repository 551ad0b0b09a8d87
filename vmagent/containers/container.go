//go:build linux

// Package containers tells the agent which Docker containers there are, when to
// look at one again, how to get into its network namespace, and carries out on
// them what a move to another node asks; it is the only importer of Docker's
// client.
package containers

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A Container is what the engine says of one container. From [Engine.List] only
// the fields down to Unstarted are filled in.
type Container struct {
	ID     string // 64 hex digits
	Name   string // without Docker's leading slash
	Image  string // as the user asked for it
	Labels map[string]string
	// ImageLabels are those of the image, which the engine has put among Labels
	// too. From Get only, and only where Labels has any of ours.
	ImageLabels map[string]string
	// NetworkMode is the engine's word: "none", "bridge", "host",
	// "container:ID" or a Docker network.
	NetworkMode string
	// Running says that the container has a process. In the pause before an
	// automatic restart it has none.
	Running bool
	// Unstarted says that it has been created and has never run.
	Unstarted bool

	// PID is the container's first process; 0 while it does not run.
	PID int
	// SandboxKey is where the engine has mounted the network namespace; empty
	// while there is none of the container's own.
	SandboxKey string
	// StartedAt tells one start of a container from the next.
	StartedAt time.Time

	// DockerNetworks are the Docker networks, sorted, that it is connected to, or
	// will be at its first start; without "none" and "host", which give it no
	// interface. From Get only.
	DockerNetworks []string

	// ResolvConfPath and HostsPath are the files of Docker's own that the
	// container sees as /etc/resolv.conf and /etc/hosts. Docker writes them
	// anew, in place, at every start. They are empty before the first start,
	// and where the user has mounted a file of his: that may be the machine's
	// own, and is never ours to write.
	ResolvConfPath string
	HostsPath      string
	// Hostname and Domainname are as the user gave them, or Docker's choice.
	// Docker lets any bytes through.
	Hostname   string
	Domainname string
	// Processors are those that it is bound to, as the user gave them, such as 0-3,8;
	// empty is all.
	Processors string
	// UserDNS and UserSearch say that the user gave --dns or --dns-search.
	UserDNS    bool
	UserSearch bool
	// Devices are the machine's, by path, that it may open, as the user gave them: a
	// directory is all that are in it. Privileged says that it may open every one. From
	// Get only.
	Devices    []string
	Privileged bool
}

// MayOpen says whether the engine lets the container open a device of the machine.
func (c Container) MayOpen(device string) bool {
	return c.Privileged || slices.ContainsFunc(c.Devices, func(given string) bool {
		given = path.Clean(given)
		return given == device || strings.HasPrefix(device, given+"/")
	})
}

// SharesNetwork says whether the container uses the network namespace of the
// host or of another container, which is not its own to get NICs in.
func (c Container) SharesNetwork() bool {
	return c.NetworkMode == "host" || strings.HasPrefix(c.NetworkMode, "container:")
}

// DockerNames says whether Docker gives the name to an interface of its own in
// the container: it counts them from eth0, one for each Docker network.
func (c Container) DockerNames(name string) bool {
	for n := range c.DockerNetworks {
		if name == fmt.Sprintf("eth%d", n) {
			return true
		}
	}
	return false
}

// asks says whether any label is one of ours.
func (c Container) asks() bool {
	for key := range c.Labels {
		if strings.HasPrefix(key, nic.LabelPrefix) {
			return true
		}
	}
	return false
}

// sameStart says whether c and o are the same run of the same container, so
// that the process id and the namespace of one are those of the other.
func (c Container) sameStart(o Container) bool {
	return c.ID == o.ID && c.Running && o.Running && c.PID == o.PID &&
		c.StartedAt.Equal(o.StartedAt) && c.SandboxKey == o.SandboxKey
}
