package aws

import (
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

const (
	// heldFor is how long an index counts as used that an attach asked for, should
	// EC2 not list it yet.
	heldFor = time.Minute
	// takenFor is how long one is left alone of which EC2 said that it is in use,
	// though it does not list it.
	takenFor = 5 * time.Minute
)

// indexes are the device indexes of network card 0 that are used without being
// listed yet, by instance.
type indexes struct {
	mu    sync.Mutex
	until map[nic.InstanceID]map[int]time.Time
}

// hold takes the lowest index that is free, of those below limit. Index 0 is the
// instance's own interface.
func (x *indexes) hold(instance nic.InstanceID, listed map[int]bool, limit int) (int, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.until == nil {
		x.until = map[nic.InstanceID]map[int]time.Time{}
	}
	held := x.until[instance]
	if held == nil {
		held = map[int]time.Time{}
		x.until[instance] = held
	}
	now := time.Now()
	for i, until := range held {
		if listed[i] || now.After(until) { // from here on the list knows
			delete(held, i)
		}
	}
	for i := 1; i < limit; i++ {
		if _, used := held[i]; !used && !listed[i] {
			held[i] = now.Add(heldFor)
			return i, true
		}
	}
	return 0, false
}

// free gives an index back.
func (x *indexes) free(instance nic.InstanceID, index int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.until[instance], index)
}

// taken notes that EC2 has said of an index that it is in use.
func (x *indexes) taken(instance nic.InstanceID, index int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.until[instance][index] = time.Now().Add(takenFor)
}
