package allocator

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// maxClaims is how many claims one node may have, those that are refused and those
// of containers that never run included: many times what a machine can run. Without
// a bound a single agent could fill the store, which is everybody's.
const maxClaims = 20_000

// crowds has in memory how many claims each node has, as the leader learns it.
type crowds struct {
	mu    sync.Mutex
	homes map[nic.ClaimID]string
	count map[string]int // by node
}

func newCrowds() *crowds {
	return &crowds{homes: map[nic.ClaimID]string{}, count: map[string]int{}}
}

// learn begins anew with all claims that there are before the watch. It keeps the map.
func (c *crowds) learn(homes map[nic.ClaimID]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.homes = homes
	clear(c.count)
	for _, home := range homes {
		c.count[home]++
	}
}

// see notes a change.
func (c *crowds) see(e store.Event) {
	id, ok := strings.CutPrefix(e.Key, claimPrefix)
	if !ok {
		return
	}
	home := ""
	if !e.Gone {
		if claim, err := store.DecodeJSON[nic.Claim](e.Record); err == nil {
			home = claim.Owner.Node
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(nic.ClaimID(id), home)
}

// note says on which node a claim is; "" is gone. The caller holds the lock.
func (c *crowds) note(id nic.ClaimID, home string) {
	was := c.homes[id]
	if was == home {
		return
	}
	if was != "" {
		if c.count[was]--; c.count[was] == 0 {
			delete(c.count, was)
		}
	}
	if home == "" {
		delete(c.homes, id)
		return
	}
	c.homes[id] = shared(home)
	c.count[home]++
}

// room is nil if the node may have one more claim, of so many at most.
func (c *crowds) room(node string, most int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[node] < most {
		return nil
	}
	return &api.Error{
		Code:    api.CodeUnavailable,
		Message: fmt.Sprintf("node %s has %d claims, and may have no more: remove containers there; if it has not so many, see what its agent does", node, most),
	}
}
