package vmagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/bpf"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
	"github.com/nicferry/nicferry/vmagent/portguard"
)

// A guard is what the agent has set at a NIC's port.
type guard struct {
	port    int // the link's index; 0 before the first time
	program []bpf.RawInstruction
	// mended is when somebody else's change of it was found and taken back.
	mended time.Time
	// told: that there is none, since the NIC was made without the place for one.
	told bool
}

// mendedFor is how long it is shown that a port's filter was put back.
const mendedFor = 10 * time.Minute

// guard has the switch take of the container only what is the NIC's own, where the
// network isolates its containers and the node makes the port: before the NIC is in
// the container, and on each look from then on.
func (a *Agent) guard(ctx context.Context, p *plug, w nic.Wanted, said *nic.Observed) error {
	if w.Device.Kind != nic.Veth {
		return nil
	}
	program, err := a.portProgram(p, w)
	if err != nil {
		return err
	}
	found, err := a.maker.Guard(ctx, w.NIC, w.Device, program)
	switch {
	case errors.Is(err, device.ErrUnguardable):
		if !p.guard.told {
			a.opts.Log.Warn("container sends unfiltered until its next start: its NIC was made by an agent that knew of no filter",
				"nic", w.NIC, "claim", w.Claim, "container", w.Container)
		}
		p.guard = guard{told: true}
		return nil
	case err != nil:
		return fmt.Errorf("keep the container from sending under foreign addresses: give the node these kernel modules, "+
			"or let the network not isolate its containers (isolation: off): %w", err)
	}
	if found.Port == p.guard.port && !slices.Equal(found.Was, p.guard.program) {
		p.guard.mended = time.Now()
		a.opts.Log.Warn("filter of a port was changed by somebody else, and is put back",
			"nic", w.NIC, "claim", w.Claim, "container", w.Container, "port", found.Port)
	}
	p.guard.port, p.guard.program, p.guard.told = found.Port, program, false
	if since := p.guard.mended; !since.IsZero() && time.Since(since) < mendedFor {
		nic.SetCondition(&said.Conditions, nic.Condition{
			Reason: nic.ReasonSetByHand, Since: since.UTC(),
			Message: "the filter against foreign addresses at the NIC's port was changed by somebody else, and was put back",
		})
	}
	return nil
}

// guardAgain is guard where the addresses that the NIC has may have changed since.
func (a *Agent) guardAgain(ctx context.Context, p *plug, w nic.Wanted, said *nic.Observed) error {
	program, err := a.portProgram(p, w)
	if err != nil || p.guard.port == 0 || slices.Equal(program, p.guard.program) {
		return err
	}
	return a.guard(ctx, p, w, said)
}

// portProgram is what the NIC's port is to have; nil for nothing.
func (a *Agent) portProgram(p *plug, w nic.Wanted) ([]bpf.RawInstruction, error) {
	l3 := w.Layer3
	if !l3.Isolated || w.Device.Kind != nic.Veth {
		return nil, nil
	}
	rules := portguard.Rules{MAC: w.Device.MAC, Also: l3.AlsoAddrs, DHCP: l3.DHCP, IPv6: l3.IPv6, SLAAC: l3.IPv6Mode == nic.IPv6SLAAC}
	for _, prefix := range l3.Addrs {
		rules.Addrs = append(rules.Addrs, prefix.Addr())
	}
	rules.Addrs = append(rules.Addrs, a.leased(p, w)...)
	return rules.Program()
}

// leased are the addresses that DHCP servers have given the NIC: to its keepers, or
// to those of an earlier agent.
func (a *Agent) leased(p *plug, w nic.Wanted) []netip.Addr {
	var addrs []netip.Addr
	now := time.Now()
	if w.Layer3.DHCP {
		if p.keeper != nil {
			if s := p.keeper.State(); s.Bound {
				addrs = append(addrs, s.Lease.Addr.Addr())
			}
		} else if lease, err := a.cache.lease(w.NIC); err == nil && lease.Usable(now) {
			addrs = append(addrs, lease.Addr.Addr())
		}
	}
	if w.Layer3.IPv6Mode == nic.IPv6DHCP {
		if p.keeper6 != nil {
			if s := p.keeper6.State(); s.Bound {
				addrs = append(addrs, s.Lease.Addr.Addr())
			}
		} else if lease, err := a.cache.lease6(w.NIC); err == nil && lease.Usable(now) {
			addrs = append(addrs, lease.Addr.Addr())
		}
	}
	return addrs
}
