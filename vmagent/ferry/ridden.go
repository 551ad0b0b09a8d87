//go:build linux

package ferry

import (
	"sync"

	"github.com/nicferry/nicferry/nic"
)

// ridden is a set of NICs. Its zero value is empty.
type ridden struct {
	mu  sync.Mutex
	all map[nic.ID]bool
}

// note has the NIC be in the set, or not.
func (r *ridden) note(id nic.ID, in bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !in {
		delete(r.all, id)
		return
	}
	if r.all == nil {
		r.all = map[nic.ID]bool{}
	}
	r.all[id] = true
}

func (r *ridden) has(id nic.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[id]
}
