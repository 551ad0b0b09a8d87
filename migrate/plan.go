package migrate

import (
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Facts are all that a plan is made of.
type Facts struct {
	// Request is the user's, as it came.
	Request nic.MoveRequest
	// Claims are those of the container on the node that it comes from.
	Claims []nic.Claim
	// Room is what MoveRoom says of them and of the target node.
	Room nic.MoveRoom
	// From and To are the nodes' records, nil for one that is not known.
	From, To *nic.Node
	// Container is what From says of the container, Target what To says of the
	// stand-by, with MoveNIC alone. Here and There are what From and To say of
	// themselves. Each is nil where the node was not asked or did not say.
	Container, Target *nic.ContainerFacts
	Here, There       *nic.NodeFacts
	// NoContainer: From says that there is no such container; NoTarget: To says that
	// there is no such stand-by.
	NoContainer, NoTarget bool
	// Unsaid are the nodes' errors when they were asked, by node.
	Unsaid map[string]string
	// Draining are the nodes that are being drained.
	Draining []string
}

// NewPlan says what a move would do, and all that stands against it. It is pure:
// the same facts give the same plan.
func NewPlan(in Facts) nic.MovePlan {
	p := planner{in: in, plan: nic.MovePlan{Request: in.Request, NICs: slices.Clone(in.Room.NICs)}}
	p.fill()
	p.request()
	p.claims()
	p.nodes()
	switch p.plan.Request.Kind {
	case nic.MoveContainer:
		p.container()
		p.storage()
	case nic.MoveNIC:
		p.standBy()
	}
	p.room()
	p.travel()
	p.steps()
	return p.plan
}

// A planner collects what goes into a plan.
type planner struct {
	in   Facts
	plan nic.MovePlan
}

// refuse notes a reason against the move. The same one is noted once.
func (p *planner) refuse(about, remedy, why string, args ...any) {
	r := nic.MoveRefusal{About: about, Why: fmt.Sprintf(why, args...), Remedy: remedy}
	if !slices.Contains(p.plan.Refusals, r) {
		p.plan.Refusals = append(p.plan.Refusals, r)
	}
}

// risk notes what is not as in a plain move.
func (p *planner) risk(what string, args ...any) {
	p.plan.Risks = append(p.plan.Risks, fmt.Sprintf(what, args...))
}

// fill settles what the request has left open.
func (p *planner) fill() {
	r := &p.plan.Request
	if r.Kind == "" {
		r.Kind = nic.MoveContainer
	}
	if r.From == "" && len(p.in.Claims) > 0 {
		r.From = p.in.Claims[0].Owner.Node
	}
	switch {
	case p.in.Container != nil && p.in.Container.Name != "":
		r.Container = p.in.Container.Name
	case len(p.in.Claims) > 0 && p.in.Claims[0].Container != "":
		r.Container = p.in.Claims[0].Container
	}
	if r.Kind == nic.MoveContainer && r.Target == "" {
		r.Target = r.Container
	}
	if r.Options.Volumes == "" {
		r.Options.Volumes = nic.CopyRefuse
	}
	if r.Options.Layer == "" {
		r.Options.Layer = nic.CopyRefuse
	}
}

// stopped: the container does not run, and is not started on the target either.
func (p *planner) stopped() bool { return p.in.Container != nil && !p.in.Container.Running }

// room takes over what the records and the provider have against it. What the plan
// has said of the nodes and of the claims is not said twice.
func (p *planner) room() {
	said := map[string]bool{}
	for _, r := range p.plan.Refusals {
		said[r.About] = r.About == aboutNode || r.About == aboutClaim
	}
	for _, r := range p.in.Room.Refusals {
		if !said[r.About] {
			p.refuse(r.About, r.Remedy, "%s", r.Why)
		}
	}
}

// NewMove is the record of a move that a plan without refusals begins with, its
// steps all open.
func NewMove(id nic.MoveID, in Facts, plan nic.MovePlan, now time.Time) nic.Move {
	r := plan.Request
	m := nic.Move{
		Schema: nic.Schema, ID: id, Kind: r.Kind, Container: r.Container, Target: r.Target,
		From: r.From, To: r.To, Options: r.Options, Phase: nic.MoveForward, Created: now,
		Copies: plan.Copies,
	}
	for _, c := range in.Claims {
		m.Tenant, m.Sandbox = c.Tenant, c.Owner.Sandbox
		m.Claims = append(m.Claims, c.ID)
	}
	if c := in.Container; c != nil {
		m.Sandbox, m.Was, m.Image, m.ImageName = c.ID, policyOf(c), c.ImageID, c.Image
		m.Stopped = !c.Running && r.Kind == nic.MoveContainer
		if m.Grace = r.Options.Grace; m.Grace == 0 {
			m.Grace = min(c.Grace, maxGrace)
		}
		m.Volumes, m.VolumesThere = volumesThere(in)
		for _, name := range append(slices.Clone(c.Networks), c.NetworkMode) { // which it may have left
			if name != "" && name != "none" && !slices.Contains(m.Networks, name) {
				m.Networks = append(m.Networks, name)
			}
		}
	}
	if in.Target != nil {
		m.TargetSandbox = in.Target.ID
	}
	for _, s := range plan.Steps {
		m.Steps = append(m.Steps, nic.MoveStep{Name: s.Name, Pivot: s.Pivot, Total: copied(plan.Copies, s.Name)})
	}
	return m
}

// maxGrace bounds how long a container is waited for whose node says that it may take
// longer to stop, and whose mover has not said so.
const maxGrace = nic.Duration(time.Hour)

// policyOf is the container's restart policy. One that no engine takes, as only a
// node that lies has it, would keep the move from ever getting done.
func policyOf(c *nic.ContainerFacts) nic.RestartPolicy {
	switch name := c.Policy.Name; name {
	case "always", "unless-stopped":
		return nic.RestartPolicy{Name: name}
	case "on-failure":
		return nic.RestartPolicy{Name: name, Retries: max(0, c.Policy.Retries)}
	}
	return nic.RestartPolicy{Name: "no"}
}
