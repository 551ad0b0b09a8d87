package vmagent

import (
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// freshFor is for how long what the engine has said of a container that waits for
// its NIC need not be asked again when that comes.
const freshFor = 10 * time.Second

// waiting is the container of a NIC that it has waited for, and that has come: as it
// was a moment ago, if its first process still lives in the namespace that is held.
// Traffic waits for this one, and the engine takes its time. nil is to look afresh.
func (a *Agent) waiting(key string, wishes []nic.Wanted) *containers.Container {
	var found *containers.Container
	for _, w := range wishes {
		p := a.plugs.held(key, w.NIC)
		if p == nil || !p.arrived.Swap(false) {
			continue
		}
		if c := p.looked; c.ID == key && time.Since(p.lookedAt) < freshFor && p.lives() {
			found = &c
		}
	}
	return found
}

// lives says whether the first process of the container lives in the namespace that
// is held for it. No other process can be taken for it: those that have its id after
// it may be in that namespace only if they are the container's too.
func (p *plug) lives() bool {
	if p.ns == nil || p.pid == 0 {
		return false
	}
	at, err := netns.InProcess(p.pid)
	return err == nil && at == p.ns.ID()
}
