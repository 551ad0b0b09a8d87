package invariant

import (
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// nodePhases are those that a node's record may have.
var nodePhases = []nic.NodePhase{nic.NodeReady, nic.NodeLost, nic.NodeRevoked}

// trust finds revoked nodes that get something new, or whose claims do not say why
// nobody serves them (P9), and nodes in a phase that none is ever in.
func (c *check) trust() {
	nodes := map[string]nic.Node{}
	for _, node := range c.Records.Nodes {
		nodes[node.Name] = node
		switch {
		case !slices.Contains(nodePhases, node.Phase):
			c.add(P9, []string{node.Name}, "is a node in phase %q", node.Phase)
		case node.Phase == nic.NodeRevoked && node.Revoked.IsZero(), node.Phase == nic.NodeReady && !node.Revoked.IsZero():
			c.add(P9, []string{node.Name}, "is a node in phase %s, revoked at %s", node.Phase, node.Revoked)
		}
	}
	for _, claim := range c.Records.Claims {
		since, revoked := c.revokedFor(nodes[claim.Owner.Node])
		told := slices.ContainsFunc(claim.Conditions, func(cond nic.Condition) bool { return cond.Reason == nic.ReasonNodeRevoked })
		if revoked && !told && claim.StoppedAt.IsZero() && claim.Phase != nic.ClaimReleasing {
			c.add(P9, ids(claim.ID), "is of node %s, which is revoked for %s, and does not say so", claim.Owner.Node, since.Round(time.Second))
		}
	}
	for _, n := range c.Records.NICs {
		if since, revoked := c.revokedFor(nodes[n.Node]); revoked && n.Phase == nic.PhasePlanned {
			c.add(P9, ids(n.ID), "is being made for node %s, which is revoked for %s", n.Node, since.Round(time.Second))
		}
	}
}

// revokedFor is how long the node is revoked, if that is long enough for all to
// have heard of it.
func (c *check) revokedFor(node nic.Node) (time.Duration, bool) {
	since := c.Now.Sub(node.Revoked)
	return since, !node.Revoked.IsZero() && since > c.Grace
}
