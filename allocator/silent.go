package allocator

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// tellSilent says when a node falls silent, and when it is heard again, until ctx
// ends. No record says so: that a node is silent is worked out whenever it is
// looked at.
func (a *Allocator) tellSilent(ctx context.Context) {
	ticker := time.NewTicker(max(a.opts.SilentAfter/4, time.Millisecond))
	defer ticker.Stop()
	told := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// Right after our own start a node that lives may not have come back yet.
		if a.since(a.born) <= a.opts.SilentAfter {
			continue
		}
		nodes, err := a.Nodes(ctx)
		if err != nil {
			continue // who cannot read tells so elsewhere
		}
		there := map[string]bool{}
		for _, node := range nodes {
			there[node.Name] = true
			silent := node.Phase == nic.NodeSilent
			switch {
			case silent && !told[node.Name]:
				a.opts.Events.Add(api.Event{
					Type: api.EventWarning, Reason: nic.ReasonNodeSilent, Node: node.Name,
					Message: "its agent has said nothing for " + a.since(node.LastSeen).Round(time.Second).String(),
				})
			case !silent && told[node.Name] && node.Phase == nic.NodeReady:
				a.opts.Events.Add(api.Event{Reason: newsStarted, Node: node.Name, Message: "its agent is heard again"})
			}
			told[node.Name] = silent
		}
		for name := range told {
			if !there[name] {
				delete(told, name)
			}
		}
	}
}
