package libvirt

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
)

// resting is how long a port is left empty after a card has gone from it. With
// ACPI, a request to let a card go names the port and not the card. QEMU tells
// the guest all that are open anew with each plug and unplug in the domain, and
// Linux queues each telling and carries all of them out, one after another: the
// second one for a port throws out whatever has been plugged in there since.
// The guest says nothing of what it has queued, so all that helps is time. It
// takes some tenths of a second for each card that comes and goes at once.
const resting = 3 * time.Second

// ports know since when the ports of running domains are empty. What nobody has
// looked at before counts as empty for long: then a card may be thrown out
// again, and is plugged in again by who wants it there.
type ports struct {
	mu    sync.Mutex
	since map[string]map[string]time.Time // by UUID and address
}

// noteAll notes all domains that there are.
func (p *ports) noteAll(domains []virt.Domain) {
	for _, d := range domains {
		p.note(d)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.since, func(uuid string, _ map[string]time.Time) bool {
		return !slices.ContainsFunc(domains, func(d virt.Domain) bool { return d.UUID == uuid })
	})
}

// note notes which ports of the domain are empty now. One that is off has
// forgotten all requests.
func (p *ports) note(d virt.Domain) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.since[d.UUID]
	if d.State == virt.Off {
		delete(p.since, d.UUID)
		return
	}
	now := make(map[string]time.Time, len(d.Ports))
	for _, address := range d.Ports {
		since, empty := before[address]
		if known && !empty {
			since = time.Now()
		}
		now[address] = since
	}
	p.since[d.UUID] = now
}

// longestEmpty returns the port of a running domain that has been empty for
// longest, and how much longer it is to rest. It returns "" where libvirt is to
// choose.
func (p *ports) longestEmpty(d virt.Domain) (address string, rest time.Duration) {
	if d.State == virt.Off || !rests {
		return "", 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest time.Time
	for _, a := range d.Ports {
		if since := p.since[d.UUID][a]; address == "" || since.Before(longest) {
			address, longest = a, since
		}
	}
	if address == "" || longest.IsZero() || d.Hotplug == virt.Native {
		return address, 0
	}
	return address, max(0, resting-time.Since(longest))
}

// domains lists all domains, and takes note of their ports.
func (p *Provider) domains(ctx context.Context, hv Hypervisor) ([]virt.Domain, error) {
	all, err := hv.Domains(ctx)
	if err == nil {
		p.ports.noteAll(all)
	}
	return all, err
}

// domain reads one, and takes note of its ports.
func (p *Provider) domain(ctx context.Context, hv Hypervisor, id string) (virt.Domain, error) {
	d, err := hv.Domain(ctx, id)
	if err == nil {
		p.ports.note(d)
	}
	return d, err
}
