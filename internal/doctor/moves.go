package doctor

import "context"

// checkMoves says whether containers can be moved to and from the node. That they can
// not is no fault.
func checkMoves(_ context.Context, v *visit) {
	if v.agent == nil {
		return // the config check says why
	}
	if !v.agent.Moves {
		v.ok("the agent takes no orders: for nicferry migrate and drain, say moves: true in agent.yaml and start it again")
		return
	}
	v.ok("the agent takes orders: containers can be moved, not with --checkpoint")
}
