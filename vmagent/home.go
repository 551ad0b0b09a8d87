package vmagent

import (
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// A home is the first process of the container that a NIC was brought into. As
// long as it lives in that namespace, no word of the engine makes the container
// gone: an engine that was started over an empty data root lists nothing.
type home struct {
	Sandbox   string   // the container's id
	PID       int      // as the agent sees it; 0 in none
	Namespace netns.ID // its network namespace
	Left      bool     // a frame was seen to leave the NIC there
}

// errLives means that the engine does not know a container whose process lives.
var errLives = errors.New("the engine does not know it, but its process lives: start the engine over its old data, or end the process")

// gone is nil if no process that the container lives by is left, and says
// otherwise why it may not be given up. What an earlier agent saw counts as
// much as what this one did.
func (a *Agent) gone(sandbox string, wishes []nic.Wanted) error {
	for _, w := range wishes {
		if w.NIC == "" {
			continue
		}
		h := a.homeOf(sandbox, w.NIC)
		if h.PID == 0 {
			continue
		}
		switch at, err := netns.InProcess(h.PID); {
		case err == nil && at == h.Namespace:
			return fmt.Errorf("container %.12s, process %d: %w", sandbox, h.PID, errLives)
		case err != nil && !errors.Is(err, netns.ErrGone):
			return fmt.Errorf("container %.12s: the engine does not know it; whether its process lives: %w", sandbox, err)
		}
	}
	return nil
}

// tellKept says of a container's NICs why they are left where they are. Of one
// that this agent has said nothing of yet nothing more is known: it is told only
// if somebody waits for it.
func (a *Agent) tellKept(wishes []nic.Wanted, why error) {
	for _, w := range wishes {
		if w.NIC == "" || !a.wishes.holds(w) {
			continue
		}
		said, ok := a.report.last(w)
		if !ok && !w.Gone {
			continue
		}
		if !ok {
			said = nic.Observed{
				NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, MAC: w.Device.MAC, State: nic.ObservedWaiting, Running: true,
			}
		}
		nic.SetCondition(&said.Conditions, nic.Condition{Reason: nic.ReasonNodeError, Message: why.Error()})
		a.report.say(said)
	}
}

// homeOf is the home of a container's NIC, by this agent's memory or by the
// cache's. A file that cannot be read is told and dropped, or it would keep the
// claim for ever.
func (a *Agent) homeOf(sandbox string, id nic.ID) home {
	if p := a.plugs.held(sandbox, id); p != nil && p.ns != nil {
		return home{Sandbox: sandbox, PID: p.pid, Namespace: p.ns.ID()}
	}
	h, err := a.cache.home(id)
	if err != nil {
		a.opts.Log.Warn("cache not read, the engine's word counts alone", "nic", id, "claim", a.wishes.claimOf(id), "err", errors.Join(err, a.cache.dropHome(id)))
	}
	if err != nil || h.Sandbox != sandbox {
		return home{}
	}
	return h
}

// settle remembers, beyond the agent's end, where a NIC is brought in.
func (a *Agent) settle(p *plug, sandbox string, pid int, ns *netns.Namespace, id nic.ID) {
	p.ns, p.sandbox, p.pid = ns, sandbox, pid
	if err := a.cache.saveHome(id, home{Sandbox: sandbox, PID: pid, Namespace: ns.ID(), Left: p.functions.left}); err != nil {
		a.opts.Log.Warn("cache not written", "nic", id, "claim", a.wishes.claimOf(id), "err", err)
	}
}
