//go:build linux

package containers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// perils are what ties a container to its node, or lets it out of its box there.
// A plan refuses them by Describe, and Create does once more: the configuration
// comes from another node, which may be anybody's by now, and must not become
// root here by it.
type perils struct {
	privileged bool
	devices    []string // of the machine
	shares     []string // namespaces and other things of the machine or a container
	binds      []string // paths of the machine
	published  []string // ports of the machine
}

// harmless are the capabilities with which root in a container stays there, as long
// as its namespaces are its own: Docker's own set, and some. One that is new, or that
// nobody here has thought of, is none of them.
var harmless = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
	"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	"IPC_LOCK", "IPC_OWNER", "LEASE", "LINUX_IMMUTABLE", "NET_ADMIN", "NET_BROADCAST", "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE",
}

// runtimes are those that do no more than Docker's own, and by whose name the target
// may take its default instead.
var runtimes = []string{"", "runc", "crun", "youki", "io.containerd.runc.v2"}

// sandboxes are runtimes that do less. They are asked for by name.
var sandboxes = []string{"runsc", "io.containerd.runsc.v1", "kata", "kata-runtime", "io.containerd.kata.v2"}

// confinements are the security options that may come along. They are of the container
// itself; others may concern the machine.
var confinements = []string{"no-new-privileges", "seccomp", "apparmor", "label"}

func perilsOf(h *container.HostConfig) perils {
	p := perils{privileged: h.Privileged, published: published(h), shares: shared(h)}
	for _, d := range h.Devices {
		p.devices = append(p.devices, d.PathOnHost)
	}
	p.devices = append(p.devices, h.DeviceCgroupRules...)
	for _, d := range h.DeviceRequests {
		p.devices = append(p.devices, strings.TrimSpace(d.Driver+" "+strings.Join(d.DeviceIDs, " ")+" (--gpus)"))
	}
	for _, b := range h.Binds {
		if source, _ := bound(b); strings.HasPrefix(source, "/") {
			p.binds = append(p.binds, source)
		}
	}
	for key, value := range h.LogConfig.Config {
		// Docker itself, as root, reads the file, and talks to the socket.
		if strings.HasPrefix(key, "syslog-tls-") && key != "syslog-tls-skip-verify" || key == "splunk-capath" || strings.HasPrefix(value, "unix") {
			p.binds = append(p.binds, "log option "+key)
		}
	}
	slices.Sort(p.binds)
	for _, m := range h.Mounts {
		switch m.Type {
		case mount.TypeTmpfs:
		case mount.TypeVolume:
			// A local volume's options mount anything: type=none,o=bind,device=/.
			if m.Source == "" && m.VolumeOptions != nil && m.VolumeOptions.DriverConfig != nil && len(m.VolumeOptions.DriverConfig.Options) > 0 {
				p.binds = append(p.binds, "volume options of "+m.Target)
			}
		default:
			p.binds = append(p.binds, fmt.Sprintf("%s (%s)", m.Source, m.Type))
		}
	}
	return p
}

// bound splits what docker run -v is told: a path of the machine or a volume, and
// the path in the container.
func bound(bind string) (source, target string) {
	source, rest, _ := strings.Cut(bind, ":")
	target, _, _ = strings.Cut(rest, ":")
	return source, target
}

// shared lists what is not the container's own, but for its network, which
// Container.SharesNetwork tells.
func shared(h *container.HostConfig) []string {
	var all []string
	add := func(is bool, what, value string) {
		if is {
			all = append(all, what+"="+value)
		}
	}
	others := func(mode string) bool { return mode == "host" || strings.HasPrefix(mode, "container:") }
	add(others(string(h.PidMode)), "pid", string(h.PidMode))
	add(others(string(h.IpcMode)), "ipc", string(h.IpcMode))
	add(others(string(h.UTSMode)), "uts", string(h.UTSMode))
	add(others(string(h.UsernsMode)), "userns", string(h.UsernsMode))
	add(h.Cgroup != "", "cgroup", string(h.Cgroup))
	add(h.CgroupParent != "", "cgroup-parent", h.CgroupParent)
	add(len(h.VolumesFrom) > 0, "volumes-from", strings.Join(h.VolumesFrom, ","))
	add(len(h.Links) > 0, "link", strings.Join(h.Links, ","))
	add(!slices.Contains(runtimes, h.Runtime) && !slices.Contains(sandboxes, h.Runtime), "runtime", h.Runtime)
	for key := range h.Annotations { // whose values are for the runtime, which may do anything by them
		add(true, "its runtime, by annotation", key)
	}
	for _, c := range h.CapAdd {
		c = strings.TrimPrefix(strings.ToUpper(c), "CAP_")
		add(!slices.Contains(harmless, c), "the kernel, by cap-add", c)
	}
	for _, option := range h.SecurityOpt {
		key, _, _ := strings.Cut(strings.Replace(option, ":", "=", 1), "=")
		add(!slices.Contains(confinements, key), "the kernel, by security-opt", key)
	}
	// Docker says nil where nobody has said anything, in either order of making.
	slices.Sort(all)
	open := h.MaskedPaths != nil && len(h.MaskedPaths) == 0 || h.ReadonlyPaths != nil && len(h.ReadonlyPaths) == 0
	add(open && !h.Privileged, "the kernel, by security-opt", "systempaths=unconfined")
	return all
}

// published lists ports as docker ps does.
func published(h *container.HostConfig) []string {
	var all []string
	for port, bindings := range h.PortBindings {
		for _, b := range bindings {
			all = append(all, fmt.Sprintf("%s:%s->%s", b.HostIP, b.HostPort, port))
		}
	}
	if h.PublishAllPorts {
		all = append(all, "all ports that its image exposes (-P)")
	}
	slices.Sort(all)
	return all
}

// check refuses all at once.
func (p perils) check(mode container.NetworkMode, more ...string) error {
	all := slices.Clone(more)
	if p.privileged {
		all = append(all, "privileged")
	}
	if mode == "host" || mode.IsContainer() {
		all = append(all, "network="+string(mode))
	}
	all = append(all, p.shares...)
	for what, some := range map[string][]string{"device": p.devices, "bind": p.binds, "port": p.published} {
		for _, s := range some {
			all = append(all, what+" "+s)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return fmt.Errorf("%w: its configuration would let it out of its box here, and no plan allows that: %s", ErrRefused, clip(strings.Join(all, ", ")))
}
