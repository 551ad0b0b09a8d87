package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"strings"
	"time"
)

func checkCgroup(_ context.Context, v *visit) {
	mounts, _ := v.read("proc/mounts")
	switch {
	case v.exists("sys/fs/cgroup/cgroup.controllers"):
		v.ok("cgroup v2")
	case strings.Contains(mounts, " cgroup "):
		v.ok("cgroup v1")
	default:
		v.warn("mount /sys/fs/cgroup", "no cgroups are mounted: Docker does not start")
	}
}

// dialTime bounds how long a Docker daemon may take to take a call.
const dialTime = 2 * time.Second

func checkDocker(ctx context.Context, v *visit) {
	mode, there := v.mode(v.DockerSocket)
	switch {
	case !there:
		v.fail("install and start a rootful Docker Engine, or name its socket in agent.yaml", "no Docker socket at %s", v.DockerSocket)
		return
	case mode&fs.ModeSocket == 0:
		v.fail("name the right path in agent.yaml", "%s is no socket", v.DockerSocket)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", v.path(v.DockerSocket))
	switch {
	case errors.Is(err, fs.ErrPermission):
		v.fail("run it as root, or as a member of the socket's group", "%s may not be opened by this user", v.DockerSocket)
	case err != nil:
		v.fail("start the Docker daemon", "nobody answers at %s", v.DockerSocket)
	default:
		conn.Close()
		v.ok("the Docker daemon takes calls at %s", v.DockerSocket)
	}
}

func checkAgent(_ context.Context, v *visit) {
	if mode, there := v.mode("run/nicferry"); there && !mode.IsDir() {
		v.fail("remove it", "/run/nicferry is not a directory")
	}
	switch {
	case v.process("nicferry-agent"):
		v.ok("nicferry-agent runs")
	case v.exists("etc/nicferry/agent.yaml"):
		v.fail("start nicferry-agent", "nicferry-agent does not run: containers keep their NICs, and new ones get none")
	default:
		v.warn("write /etc/nicferry/agent.yaml and start nicferry-agent", "nicferry-agent is not set up here")
	}
}
