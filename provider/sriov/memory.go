package sriov

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// remember notes a record of a NIC's, before it is written.
func (b *books) remember(id nic.ID, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aside[id] == nil {
		b.aside[id] = map[string]bool{}
	}
	b.aside[id][key] = true
}

func (b *books) keys(id nic.ID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.aside[id]))
}

func (b *books) forget(id nic.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.aside, id)
	delete(b.been, id)
}

// plug notes that a NIC is about to be plugged in.
func (b *books) plug(id nic.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.been[id] = true
}

// releases are when the node's VFs were given back last.
func (b *books) releases(node string) map[sriov.Address]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.released[node])
}

// plugged are the VFs of NICs that are, or have been, plugged in. A NIC that is not
// is read from the ledger each time; there are few of them.
func (b *books) plugged(ctx context.Context, entries []entry) (map[sriov.Address]bool, error) {
	used := map[sriov.Address]bool{}
	for _, e := range entries {
		b.mu.Lock()
		been := b.been[e.nic]
		b.mu.Unlock()
		if !been {
			h, err := b.log.Read(ctx, e.nic)
			if err != nil {
				return nil, err
			}
			if been = h.Newest() > 0; been && !h.Erased() { // else it is forgotten for good
				b.plug(e.nic)
			}
		}
		if been {
			used[e.vf] = true
		}
	}
	return used, nil
}
