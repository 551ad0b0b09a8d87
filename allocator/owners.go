package allocator

import (
	"hash/maphash"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// owners has in memory which owners have claims, by a hash of their keys: as many as
// there are claims. It is a hint, and decides only whether the store is asked first.
type owners struct {
	seed  maphash.Seed
	mu    sync.Mutex
	known map[uint64]struct{}
}

func newOwners() *owners {
	return &owners{seed: maphash.MakeSeed(), known: map[uint64]struct{}{}}
}

func (o *owners) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.known)
}

// learn notes the owner of a claim that there is.
func (o *owners) learn(owner nic.Owner) { o.note(ownerKey(owner), true) }

// see notes a change.
func (o *owners) see(e store.Event) {
	if strings.HasPrefix(e.Key, ownerRoot) {
		o.note(e.Key, !e.Gone)
	}
}

func (o *owners) note(key string, there bool) {
	sum := maphash.String(o.seed, key)
	o.mu.Lock()
	defer o.mu.Unlock()
	if there {
		o.known[sum] = struct{}{}
	} else {
		delete(o.known, sum)
	}
}

// has says whether the owner has a claim, as far as is known.
func (o *owners) has(owner nic.Owner) bool {
	sum := maphash.String(o.seed, ownerKey(owner))
	o.mu.Lock()
	defer o.mu.Unlock()
	_, known := o.known[sum]
	return known
}
