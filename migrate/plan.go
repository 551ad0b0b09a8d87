package migrate

import (
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
	// Unsaid are the nodes' errors when they were asked, by node.
	Unsaid map[string]string
	// Draining are the nodes that are being drained.
	Draining []string
}

// NewPlan says what a move would do, and all that stands against it. It is pure:
// the same facts give the same plan.
func NewPlan(in Facts) nic.MovePlan {
	return nic.MovePlan{Request: in.Request}
}

// NewMove is the record of a move that a plan without refusals begins with, its
// steps all open.
func NewMove(id nic.MoveID, in Facts, plan nic.MovePlan, now time.Time) nic.Move {
	return nic.Move{Schema: nic.Schema, ID: id, Created: now}
}
