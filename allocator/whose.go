package allocator

import (
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// whose is what a line of the log about a key of the queue says besides: the NIC
// and the claim that it is about.
func (a *Allocator) whose(key string) []any {
	for _, of := range []string{claimPrefix, publicPrefix} {
		if id, ok := strings.CutPrefix(key, of); ok {
			return []any{"claim", id}
		}
	}
	id, ok := strings.CutPrefix(key, nicPrefix)
	if !ok {
		return nil
	}
	return []any{"nic", id, "claim", a.ClaimOf(nic.ID(id))}
}

// ClaimOf is the claim that holds a NIC, as the leader knows it; empty for none.
func (a *Allocator) ClaimOf(id nic.ID) nic.ClaimID {
	a.changes.mu.Lock()
	defer a.changes.mu.Unlock()
	return a.changes.nics[id].holder
}
