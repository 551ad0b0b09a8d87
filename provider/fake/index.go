package fake

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A place is a device index of an instance. Index 0 is the machine's own NIC.
type place struct {
	instance nic.InstanceID
	index    int
}

func at(instance nic.InstanceID, index int) place { return place{instance, index} }

// Squat puts something at device indexes of an instance that no list shows, as
// where another writer was quicker. An attach that asks for one is ErrBusy, and
// the next asks for another.
func (p *Provider) Squat(instance nic.InstanceID, indexes ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range indexes {
		p.squatted[at(instance, i)] = true
	}
}

// nextIndex is the first that a driver believes to be free.
func (p *Provider) nextIndex(instance nic.InstanceID, now time.Time) int {
	used := map[int]bool{}
	for id := range p.nics {
		if r := p.find(id, now); r != nil && r.place.Instance == instance {
			used[r.index] = true
		}
	}
	index := 1
	for used[index] || p.met[at(instance, index)] {
		index++
	}
	return index
}
