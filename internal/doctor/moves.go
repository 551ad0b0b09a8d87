package doctor

import "context"

// checkMoves says whether containers can be moved to and from the node, and with
// their processes. Neither is a fault.
func checkMoves(_ context.Context, v *visit) {
	if v.agent == nil {
		return // the config check says why
	}
	if !v.agent.Moves {
		v.ok("the agent takes no orders: for nicferry migrate and drain, say moves: true in agent.yaml and start it again")
		return
	}
	if !v.anyExists("usr/sbin/criu", "usr/bin/criu", "usr/local/sbin/criu", "usr/local/bin/criu") {
		v.ok("the agent takes orders: containers can be moved; no criu is installed, so not with --checkpoint")
		return
	}
	v.ok("the agent takes orders: containers can be moved; criu is installed, so that --checkpoint can be tried")
}
