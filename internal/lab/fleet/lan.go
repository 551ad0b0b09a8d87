//go:build linux

package fleet

import (
	"context"
	"fmt"

	"github.com/nicferry/nicferry/internal/lab"
)

// lanSwitch is the bridge that joins the machines' uplinks, beside the
// controller; lanUplink is the LAN's port of it, and each machine's own uplink.
const lanSwitch, lanUplink = "lan0", "uplink0"

// layLAN makes the LAN that all machines are on.
func (f *Fleet) layLAN(ctx context.Context) (err error) {
	if f.LAN, err = f.Machine.Segment(ctx, lab.SegmentOptions{}); err != nil {
		return err
	}
	for _, step := range [][]string{
		{"ip", "link", "add", lanSwitch, "type", "bridge", "forward_delay", "0"},
		{"sysctl", "-qw", "net/ipv6/conf/" + lanSwitch + "/disable_ipv6=1"},
		{"ip", "link", "set", lanSwitch, "up"},
		{"ip", "link", "set", lanUplink, "master", lanSwitch},
	} {
		if _, err := f.Machine.Run(ctx, step[0], step[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// Port is the machine's port of the switch that all machines are on, an
// interface of the fleet's machine.
func (a *Agent) Port() string { return fmt.Sprintf("lan-%s", a.Name) }

// plug puts the machine's uplink into the LAN of all.
func (a *Agent) plug(ctx context.Context) error {
	// Neither end is a host's: they have no addresses, and say nothing.
	err := lab.Wire(ctx,
		lab.End{Node: a.fleet.Machine, Link: a.Port(), NoIPv6: true},
		lab.End{Node: a.Machine, Link: lanUplink, MAC: a.mac(2), NoIPv6: true})
	if err != nil {
		return err
	}
	_, err = a.fleet.Machine.Run(ctx, "ip", "link", "set", a.Port(), "master", lanSwitch)
	return err
}

// PowerOff ends all that runs on the machine at once, and its cables with it.
func (a *Agent) PowerOff() error {
	a.daemons = a.Machine.Daemons() // none runs
	return a.Machine.PowerOff()
}

// PowerOn starts a machine that is off, with its files as they were: its cables,
// its engine with what that starts by itself, and its agent if that is wanted. It
// does not wait for the agent.
func (a *Agent) PowerOn(ctx context.Context, agent bool) error {
	if err := a.Machine.PowerOn(ctx); err != nil {
		return err
	}
	// The kernel takes away the other ends of the old cables in its own time.
	err := Until(ctx, "the old cables of "+a.Name+" to be gone", func() error { return a.uncabled(ctx) })
	if err == nil {
		err = a.cable(ctx)
	}
	if err != nil {
		return err
	}
	if err := a.Machine.Engine.Start(ctx); err != nil {
		return err
	}
	if !agent {
		return nil
	}
	return a.Spawn()
}

// uncabled is an error while there is an end of one of the machine's cables.
func (a *Agent) uncabled(ctx context.Context) error {
	for _, port := range []string{fmt.Sprintf("port%d", a.number), a.Port()} {
		if _, err := a.fleet.Machine.Run(ctx, "ip", "link", "show", "dev", port); err == nil {
			return fmt.Errorf("there is %s", port)
		}
	}
	return nil
}
