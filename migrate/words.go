package migrate

import (
	"fmt"
	"strings"
)

// The steps of a move, in their order. A move of NICs alone has aim and no steps
// of containers.
const (
	StepFence       = "fence"        // the claims are the move's, and room for them is kept on the target node
	StepRestartsOff = "restarts-off" // the container does not come back by itself
	StepImage       = "image"
	StepCreate      = "create"  // the container on the target node, not started
	StepAim         = "aim"     // the stand-by is the one that is to have the NICs
	StepReserve     = "reserve" // a NIC on the target node has a place for each address that goes alone
	StepStop        = "stop"    // the container on the source node
	StepVolumes     = "volumes"
	StepLayer       = "layer"   // what it has written beside its volumes
	StepNICOut      = "nic-out" // of the source node
	StepStart       = "start"   // the container on the target node
	StepNICIn       = "nic-in"  // into the container on the target node
	StepHealth      = "health"
	StepPivot       = "pivot"       // the claims are the target's
	StepRestartsOn  = "restarts-on" // the container has its restart policy again
	StepDrop        = "drop"        // the container on the source node
)

// size is bytes for people.
func size(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d bytes", bytes)
	}
	value, names := float64(bytes), []string{"KiB", "MiB", "GiB", "TiB"}
	for i, name := range names {
		if value /= unit; value < unit || i == len(names)-1 {
			return fmt.Sprintf("%.1f %s", value, name)
		}
	}
	return ""
}

// some lists the first few of words, and says how many more there are.
func some(words []string) string {
	const few = 5
	if len(words) <= few {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:few], ", "), len(words)-few)
}
