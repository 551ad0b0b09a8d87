//go:build linux

package vf

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// How long a VF that has a driver may be without an interface in the host's namespace, as
// while its driver is bound anew or its namespace ends, and how often it is looked at.
const (
	homePatience = time.Second
	homeLook     = 50 * time.Millisecond
)

// away says who serves a VF that is not at home: it has a driver, and no interface in the
// host's namespace. Empty is that nobody else can have it.
func (s *Setter) away(ctx context.Context, v nic.VF) (driver string, err error) {
	for end := time.Now().Add(homePatience); ; {
		driver, err = s.opts.Bus.Driver(v.PCI)
		if err != nil || driver == "" {
			return "", err
		}
		_, found, err := s.find(v.PCI)
		if err != nil || found {
			return "", err
		}
		if time.Now().After(end) {
			return driver, nil
		}
		if err := retry.Sleep(ctx, homeLook); err != nil {
			return "", err
		}
	}
}

// unused is ErrTaken for a VF that nobody has noted and that somebody has: a virtual
// machine, a program, or another namespace.
func (s *Setter) unused(ctx context.Context, v nic.VF) error {
	driver, err := s.away(ctx, v)
	if err == nil && driver != "" {
		err = fmt.Errorf("VF %s %w: its driver %s serves it, and it has no interface in the host's namespace: "+
			"a virtual machine, a program or another namespace has it", v.PCI, ErrTaken, driver)
	}
	return err
}

// idle is an error while somebody has a VF that is to be set back: its VLAN and its spoof
// check hold until then.
func (s *Setter) idle(ctx context.Context, v nic.VF, now nic.VFSettings, was nic.VFWas) error {
	if was.Driver != nil {
		if err := s.opts.UserSpace.Closed(v.PCI); err != nil {
			return err
		}
		driver, err := s.opts.Bus.Driver(v.PCI)
		if err != nil || driver != was.Driver.Name { // it is in user space
			return err
		}
	}
	if len(exactly(now, was.Settings)) == 0 {
		return nil // whoever has it lost nothing by us
	}
	driver, err := s.away(ctx, v)
	if err == nil && driver != "" {
		err = fmt.Errorf("VF %s %w: its driver %s serves it, and whoever has it keeps its settings; have its interface come home (ip link set … netns 1)",
			v.PCI, ErrAway, driver)
	}
	return err
}

// serve has a driver bound to a VF that was in no hands but the kernel's and has none, as
// a Heed that was interrupted leaves it: nobody else would do that. What fails is logged.
func (s *Setter) serve(owner nic.ID, v nic.VF, was nic.VFWas) {
	if was.Driver != nil {
		return // it has the one that it had
	}
	driver, err := s.opts.Bus.Driver(v.PCI)
	if err == nil && driver == "" {
		err = s.opts.Bus.Rebind(v.PCI)
	}
	if err != nil {
		s.opts.Log.Warn("VF may be without a driver", "vf", v.PCI, "nic", owner, "err", err)
	}
}
