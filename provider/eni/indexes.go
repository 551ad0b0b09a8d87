package eni

import (
	"maps"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

const (
	// heldFor is how long an index counts as used that an attach asked for, should
	// the cloud not list it yet.
	heldFor = time.Minute
	// takenFor is how long one is left alone of which the cloud said that it is in use,
	// though it does not list it.
	takenFor = 5 * time.Minute
)

// indexes are the device indexes that are used without being listed yet, by instance.
type indexes struct {
	mu   sync.Mutex
	held map[nic.InstanceID]map[int]hold
}

// A hold is why an index counts as used. Without a NIC, the cloud has said that it is.
type hold struct {
	by    nic.ID
	until time.Time
}

// hold takes the lowest index that is free, of those below limit. Index 0 is the
// instance's own interface. What the NIC had asked for before, it does not hold any
// more: it is not plugged in. Where there is none, later says whether that may be
// because of attaches that the cloud does not list yet.
func (x *indexes) hold(instance nic.InstanceID, id nic.ID, listed map[int]bool, limit int) (index int, ok, later bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.held == nil {
		x.held = map[nic.InstanceID]map[int]hold{}
	}
	held := x.held[instance]
	if held == nil {
		held = map[int]hold{}
		x.held[instance] = held
	}
	now := time.Now()
	for i, h := range held {
		switch {
		case listed[i], now.After(h.until), h.by == id: // from here on the list knows
			delete(held, i)
		case h.by != "":
			later = true
		}
	}
	for i := 1; i < limit; i++ {
		if _, used := held[i]; !used && !listed[i] {
			held[i] = hold{id, now.Add(heldFor)}
			return i, true, false
		}
	}
	return 0, false, later
}

// used is how many of an instance's indexes are used, listed or not.
func (x *indexes) used(instance nic.InstanceID, listed map[int]bool) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, now := len(listed), time.Now()
	for i, h := range x.held[instance] {
		if !listed[i] && now.Before(h.until) {
			n++
		}
	}
	return n
}

// free gives back an index, and what the NIC holds where the cloud's slots have no
// numbers and so none is known of it.
func (x *indexes) free(instance nic.InstanceID, id nic.ID, index int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	maps.DeleteFunc(x.held[instance], func(i int, h hold) bool { return i == index || h.by == id })
}

// taken notes that the cloud has said of an index that it is in use.
func (x *indexes) taken(instance nic.InstanceID, index int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held[instance][index] = hold{until: time.Now().Add(takenFor)}
}
