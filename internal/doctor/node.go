package doctor

import (
	"context"
	"strings"
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

func checkAgent(_ context.Context, v *visit) {
	if mode, there := v.mode("run/nicferry"); there && !mode.IsDir() {
		v.fail("rm /run/nicferry", "/run/nicferry is not a directory")
	}
	switch {
	case v.process("nicferry-agent"):
		v.ok("nicferry-agent runs")
	case v.hasAgent():
		v.fail("systemctl start nicferry-agent", "nicferry-agent does not run: containers keep their NICs, and new ones get none")
	case v.hasController():
		v.ok("no agent on this machine: what only a node needs is not looked at")
	default:
		v.warn("write "+v.AgentConfig+" and start nicferry-agent", "nicferry-agent is not set up here")
	}
}
