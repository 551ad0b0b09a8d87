package vmagent

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/nicferry/nicferry/nic"
)

// wishes is what the controller last said it wants, by the worker it concerns.
type wishes struct {
	mu sync.Mutex
	// fresh: the controller has said it to this agent, and no file of before.
	fresh bool
	byKey map[string][]nic.Wanted
}

func newWishes() *wishes { return &wishes{byKey: map[string][]nic.Wanted{}} }

// keyOf is the worker that a wish belongs to: its container's, or its own for
// a NIC that no container holds.
func keyOf(w nic.Wanted) string {
	if w.Owner.Sandbox != "" {
		return w.Owner.Sandbox
	}
	return string(w.NIC)
}

// ofNIC says whether the key is that of a NIC that no container holds.
func ofNIC(key string) bool {
	_, err := nic.ParseID(key)
	return err == nil
}

// replace takes the whole new list and returns the keys whose wishes differ.
func (ws *wishes) replace(list []nic.Wanted) (changed []string) {
	next := map[string][]nic.Wanted{}
	for _, w := range list {
		next[keyOf(w)] = append(next[keyOf(w)], w)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for key, list := range next {
		if !reflect.DeepEqual(list, ws.byKey[key]) {
			changed = append(changed, key)
		}
	}
	for key := range ws.byKey {
		if _, still := next[key]; !still {
			changed = append(changed, key)
		}
	}
	ws.byKey = next
	return changed
}

// of returns the wishes for one key.
func (ws *wishes) of(key string) []nic.Wanted {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.Clone(ws.byKey[key])
}

// all returns every wish.
func (ws *wishes) all() []nic.Wanted {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.Concat(slices.Collect(maps.Values(ws.byKey))...)
}

// holds says whether the same is still wanted of the wish's NIC, and by the
// same.
func (ws *wishes) holds(w nic.Wanted) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.ContainsFunc(ws.byKey[keyOf(w)], func(now nic.Wanted) bool {
		return now.NIC == w.NIC && now.Gone == w.Gone && now.Moves == w.Moves && now.Claim == w.Claim && now.Epoch == w.Epoch && now.Turn == w.Turn
	})
}

// owned says whether a container is to have the NIC.
func (ws *wishes) owned(id nic.ID) bool {
	return slices.ContainsFunc(ws.all(), func(w nic.Wanted) bool { return w.NIC == id && !w.Gone && w.Owner.Sandbox != "" })
}

// said notes that the controller has said what is wanted.
func (ws *wishes) said() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.fresh = true
}

// unwanted says whether nothing is wanted of the NIC any more, for certain.
func (ws *wishes) unwanted(id nic.ID) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, list := range ws.byKey {
		if slices.ContainsFunc(list, func(w nic.Wanted) bool { return w.NIC == id }) {
			return false
		}
	}
	return ws.fresh
}

func (ws *wishes) keys() []string {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.Collect(maps.Keys(ws.byKey))
}

// staying are the wishes of a container for NICs that it has or is to have.
func staying(wishes []nic.Wanted) []nic.Wanted {
	var stay []nic.Wanted
	for _, w := range wishes {
		if w.NIC != "" && !w.Gone {
			stay = append(stay, w)
		}
	}
	return stay
}
