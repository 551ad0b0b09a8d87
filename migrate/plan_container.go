package migrate

import (
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// container refuses containers that would not be the same elsewhere. It asks for
// the node's word, without which nothing can be said.
func (p *planner) container() {
	c, r := p.in.Container, p.plan.Request
	if c == nil {
		if p.in.From != nil && p.in.From.Inventory.Moves && p.in.Unsaid[r.From] == "" {
			if p.in.NoContainer {
				p.refuse("container", "nicferry get claims shows who has NICs", "there is no container %s on %s any more", r.Container, r.From)
			} else {
				p.refuse("container", "", "%s does not say what %s is", r.From, r.Container)
			}
		}
		return
	}
	if c.Paused {
		p.refuse("container", "docker unpause "+c.Name, "%s is paused", c.Name)
	}
	if len(c.Published) > 0 {
		p.refuse("ports", "run it without -p: by its NIC it is reached at its own address", "%s publishes %s at the address of %s, which stays there", c.Name, some(c.Published), r.From)
	}
	if c.Privileged {
		p.refuse("privileged", "run it without --privileged, with the capabilities that it needs", "%s is privileged: it may depend on anything of %s", c.Name, r.From)
	}
	if len(c.Devices) > 0 {
		p.refuse("devices", "", "%s uses devices of %s: %s", c.Name, r.From, some(c.Devices))
	}
	if len(c.Binds) > 0 {
		p.refuse("binds", "put the files into a volume, and move with --volumes copy", "%s mounts files of %s: %s", c.Name, r.From, some(c.Binds))
	}
	if c.AutoRemove {
		p.refuse("autoremove", "docker run it without --rm", "%s is removed as soon as it stops (--rm), so that nothing would be left to go back to", c.Name)
	}
	p.shares()
	p.networks()
	p.fits()
	p.checkpoint()
}

// shares refuses a container that is not one by itself.
func (p *planner) shares() {
	c := p.in.Container
	shares := slices.Clone(c.Shares)
	if mode := c.NetworkMode; mode == "host" || strings.HasPrefix(mode, "container:") {
		if !slices.ContainsFunc(shares, func(s string) bool { return strings.HasPrefix(s, "network") }) {
			shares = append(shares, "network="+mode)
		}
	}
	if len(shares) > 0 {
		p.refuse("shares", "run it with namespaces of its own", "%s shares %s with %s or with another container there", c.Name, some(shares), p.plan.Request.From)
	}
}

// networks refuses Docker networks that are not on the target.
func (p *planner) networks() {
	c, there, r := p.in.Container, p.in.There, p.plan.Request
	for _, name := range c.Networks {
		switch {
		case name == "none" || name == "host":
		case name == "bridge" || name == "default":
			p.risk("%s is also on Docker's own network %s, where it has another address on %s", c.Name, name, r.To)
		case there == nil:
		case slices.Contains(there.Networks, name):
			p.risk("%s is also on the Docker network %s, where it may have another address on %s", c.Name, name, r.To)
		default:
			p.refuse("docker-network", "docker network create "+name+" on "+r.To+", or docker network disconnect "+name+" "+c.Name,
				"%s is also on the Docker network %s, which is not on %s", c.Name, name, r.To)
		}
	}
}

// overlay is the storage driver whose writable layer an agent can copy, deletions
// and all.
const overlay = "overlay2"

// fits refuses a target node that cannot run it.
func (p *planner) fits() {
	c, here, there, r := p.in.Container, p.in.Here, p.in.There, p.plan.Request
	if there == nil {
		return
	}
	if there.NameUsed && !p.moving() { // else it may be what that move has made, which nobody is to remove
		p.refuse("name", "docker rename or docker rm it there", "there is a container %s on %s already", r.Target, r.To)
	}
	if c.Running && there.Memory > 0 && c.Memory > there.Memory {
		p.refuse("memory", "free some there, or lower its limit: docker update --memory", "%s needs %s of memory, and %s has %s left", c.Name, size(c.Memory), r.To, size(there.Memory))
	}
	if c.LogDriver != "" && len(there.LogDrivers) > 0 && !slices.Contains(there.LogDrivers, c.LogDriver) {
		p.refuse("log-driver", "docker plugin install it there", "%s logs by the driver %s, which %s does not have", c.Name, c.LogDriver, r.To)
	}
	if here == nil {
		return
	}
	if here.Arch != there.Arch || here.OS != there.OS {
		p.refuse("image", "", "%s is for %s/%s, and %s is %s/%s", c.Name, here.OS, here.Arch, r.To, there.OS, there.Arch)
	}
	if (here.Driver != overlay || there.Driver != overlay) && r.Options.Layer == nic.CopyCopy && c.Written > 0 {
		p.refuse("layer", "say --layer ignore to lose it", "what %s has written is copied only from %s to %s, and Docker's storage driver is %s on %s and %s on %s",
			c.Name, overlay, overlay, here.Driver, r.From, there.Driver, r.To)
	}
}

// checkpoint refuses to carry processes along: no step does that, and each node says why.
func (p *planner) checkpoint() {
	if !p.plan.Request.Options.Checkpoint {
		return
	}
	r, remedy, before := p.plan.Request, "move it without --checkpoint: its processes start anew", len(p.plan.Refusals)
	if p.stopped() {
		p.refuse("checkpoint", remedy, "%s does not run, so there is nothing to carry along", r.Container)
	}
	for _, n := range []struct {
		name string
		said *nic.NodeFacts
	}{{r.From, p.in.Here}, {r.To, p.in.There}} {
		if n.said != nil && n.said.NoCheckpoint != "" {
			p.refuse("checkpoint", remedy, "docker checkpoint does not work on %s: %s", n.name, n.said.NoCheckpoint)
		}
	}
	if len(p.plan.Refusals) == before { // whatever a node says that is older, newer, or lies
		p.refuse("checkpoint", remedy, "no move carries processes along")
	}
}

// standBy refuses a container that cannot take over NICs.
func (p *planner) standBy() {
	t, r := p.in.Target, p.plan.Request
	switch {
	case p.in.NoTarget:
		p.refuse("target", "start it there first: docker run -d --network none --name "+r.Target+" …", "there is no container %s on %s", r.Target, r.To)
		return
	case t == nil:
		if r.Target != "" && p.in.To != nil && p.in.To.Inventory.Moves && p.in.Unsaid[r.To] == "" {
			p.refuse("target", "docker ps on "+r.To, "%s does not say what %s is", r.To, r.Target)
		}
		return
	case t.Paused:
		p.refuse("target", "docker unpause "+t.Name, "%s on %s is paused", t.Name, r.To)
	case !t.Running:
		p.refuse("target", "docker start "+t.Name, "%s on %s does not run", t.Name, r.To)
	}
	if t.NetworkMode == "host" || strings.HasPrefix(t.NetworkMode, "container:") {
		p.refuse("target", "run it with --network none", "%s on %s has no network namespace of its own (--network %s)", t.Name, r.To, t.NetworkMode)
	}
}
