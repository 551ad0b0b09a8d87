package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// statusWait is how long the store has to answer whoever asks how things are.
const statusWait = 3 * time.Second

// Status says what keeps the controller from its work: the store, the
// providers and the nodes that do not answer, each by name. None is well.
func (a *Allocator) Status(ctx context.Context) []nic.Condition {
	conditions := []nic.Condition{}
	asking, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	err := a.Health(asking)
	a.mu.Lock()
	if !a.leads {
		conditions = append(conditions, nic.Condition{
			Reason: nic.ReasonNotLeading, Since: a.born, Message: "this controller answers and does no work: it is starting, or another one leads",
		})
	}
	conditions = append(conditions, a.storeCondition()...)
	conditions = append(conditions, a.outageConditions(func(string) bool { return true })...)
	a.mu.Unlock()
	switch {
	case errors.Is(err, ErrStore):
		c := nic.Condition{Reason: nic.ReasonStoreUnreachable, Since: a.now(), Message: err.Error()}
		if !slices.ContainsFunc(conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonStoreUnreachable }) {
			conditions = append(conditions, c)
		}
		return conditions
	case err != nil:
		conditions = append(conditions, nic.Condition{Reason: nic.ReasonStuck, Since: a.now().Add(-stuckAfter), Message: err.Error()})
	}
	nodes, err := a.Nodes(asking)
	if err != nil {
		return append(conditions, nic.Condition{Reason: nic.ReasonStoreUnreachable, Since: a.now(), Message: err.Error()})
	}
	slices.SortFunc(nodes, func(x, y nic.Node) int { return cmp.Compare(x.Name, y.Name) })
	for _, node := range nodes {
		for _, c := range node.Conditions {
			if c.Reason == nic.ReasonNodeSilent {
				c.Message = fmt.Sprintf("node %s: %s", node.Name, c.Message)
				conditions = append(conditions, c)
			}
		}
	}
	return conditions
}
