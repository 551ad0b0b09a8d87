package migrate

import (
	"cmp"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// What is also said by who knows the records.
const (
	aboutNode  = "node"
	aboutClaim = "claim"
)

// request refuses what nobody can ask for.
func (p *planner) request() {
	r := p.plan.Request
	if r.Kind != nic.MoveContainer && r.Kind != nic.MoveNIC {
		p.refuse("request", "ask for container or nic", "%q is no kind of move", r.Kind)
	}
	for _, rule := range []struct {
		about string
		rule  nic.CopyRule
	}{{"volumes", r.Options.Volumes}, {"layer", r.Options.Layer}} {
		if !slices.Contains([]nic.CopyRule{nic.CopyRefuse, nic.CopyCopy, nic.CopyIgnore}, rule.rule) {
			p.refuse(rule.about, "say --"+rule.about+" refuse, copy or ignore", "%q is no rule", rule.rule)
		}
	}
	if r.Options.Wait < 0 || r.Options.Grace < 0 {
		p.refuse("request", "", "a time to wait is below zero")
	}
	if r.Kind == nic.MoveContainer && r.Target != r.Container {
		p.refuse("name", "leave the target out, or move the NICs alone: nicferry move-nic", "a container keeps its name: %q cannot become %q", r.Container, r.Target)
	}
	if r.Kind == nic.MoveNIC && r.Target == "" {
		p.refuse("target", "name it as NODE/CONTAINER", "the container that is to have the NICs is not named")
	}
	if r.Kind == nic.MoveNIC && r.Options.Checkpoint {
		p.refuse("checkpoint", "", "no process moves along with NICs alone")
	}
}

// claims refuses to begin with claims that are not settled.
func (p *planner) claims() {
	r := p.plan.Request
	if len(p.in.Claims) == 0 {
		p.refuse(aboutClaim, "nicferry get claims shows who has NICs", "there is no container %q with a NIC of ours%s", r.Container, onNode(r.From))
	}
	for _, c := range p.in.Claims {
		show := "nicferry describe claim " + string(c.ID)
		var move nic.MoveID
		if c.Move != nil {
			move = c.Move.Move
		}
		switch {
		case c.Phase == nic.ClaimRefused:
			p.refuse(aboutClaim, "have it served first: "+show, "claim %s is refused%s", c.ID, because(c.Conditions))
		case c.Phase == nic.ClaimReleasing:
			p.refuse(aboutClaim, "", "claim %s is being released, since its container is gone", c.ID)
		case c.Phase == nic.ClaimMoving:
			p.refuse(aboutClaim, "watch it: nicferry describe move "+string(move), "claim %s is on a move already, %s", c.ID, move)
		case c.Phase == nic.ClaimParked:
			p.refuse(aboutClaim, "nicferry migrate --resume "+string(move)+", or --abort", "claim %s is on a move that is parked, %s", c.ID, move)
		case c.NIC == "" && !p.stopped():
			p.refuse(aboutClaim, "wait until it has: "+show, "claim %s has no NIC yet%s", c.ID, because(c.Conditions))
		}
	}
}

// moving: a move has the claims already.
func (p *planner) moving() bool {
	return slices.ContainsFunc(p.in.Claims, func(c nic.Claim) bool { return c.Phase == nic.ClaimMoving || c.Phase == nic.ClaimParked })
}

func onNode(name string) string {
	if name == "" {
		return ""
	}
	return " on " + name
}

func because(conditions []nic.Condition) string {
	if len(conditions) == 0 {
		return ""
	}
	return ": " + conditions[0].Message
}

// nodes refuses nodes that a container cannot leave, or come to.
func (p *planner) nodes() {
	r := p.plan.Request
	if r.To == "" {
		p.refuse(aboutNode, "say --to NODE", "it is not said where to")
	} else if r.From == r.To {
		p.refuse(aboutNode, "name another node", "%s is on %s already", r.Container, r.To)
	}
	p.target()
	if r.From != r.To {
		p.node(r.From, p.in.From)
	}
}

// target refuses a node that takes nothing.
func (p *planner) target() {
	to := p.plan.Request.To
	p.node(to, p.in.To)
	if slices.Contains(p.in.Draining, to) {
		p.refuse(aboutNode, "nicferry drain "+to+" --undo", "%s is being drained, and is given nothing new", to)
	}
}

// node refuses one node for itself.
func (p *planner) node(name string, n *nic.Node) {
	if name == "" {
		return
	}
	if n == nil {
		p.refuse(aboutNode, "nicferry get nodes shows those that there are", "there is no node %s", name)
		return
	}
	switch n.Phase {
	case nic.NodeRevoked:
		p.refuse(aboutNode, "have it join anew: nicferry token create", "the trust of %s is taken away: its agent is refused", name)
		return
	case nic.NodeLost:
		p.refuse(aboutNode, "", "%s is given up as lost", name)
		return
	case nic.NodeSilent:
		p.refuse(aboutNode, "see to its agent: systemctl status nicferry-agent", "the agent of %s has said nothing for a while", name)
		return
	}
	if !n.Inventory.Moves {
		p.refuse(aboutNode, "set moves: true in agent.yaml of "+name+" and restart its agent; one older than the controller has to be updated first",
			"the agent of %s (release %s) takes no orders", name, cmp.Or(n.Inventory.AgentVersion, "unknown"))
		return
	}
	if why := p.in.Unsaid[name]; why != "" {
		p.refuse(aboutNode, "see what is the matter there: journalctl -u nicferry-agent", "%s was asked and did not say: %s", name, why)
	}
}

// travel says how the NICs get there: the slowest way that any of them takes.
func (p *planner) travel() {
	for _, n := range p.plan.NICs {
		if p.plan.Travel == "" || silentWay(n.Travel) > silentWay(p.plan.Travel) {
			p.plan.Travel = n.Travel
		}
	}
}
