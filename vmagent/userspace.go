package vmagent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// inUserSpace says whether a program in the container drives the NIC itself: then there
// is no interface to bring in or to address.
func inUserSpace(w nic.Wanted) bool { return w.Device.Kind == nic.SRIOV && w.Device.VF.UserSpace }

// opens notes what a program opens to drive a NIC that has been provided, if it is to.
func (a *Agent) opens(w nic.Wanted, said *nic.Observed) error {
	device, err := a.maker.Opens(w.Device)
	if err != nil {
		return fmt.Errorf("find the device of VF %s: %w", w.Device.VF.PCI, err)
	}
	said.Device = device
	return nil
}

// handOver is the rest of putIn for a NIC in user space. Docker has let the container
// open its device, or has not: it had to be told when it made it.
func handOver(p *plug, c containers.Container, said *nic.Observed) error {
	if !given(c, said) {
		return errNotYet
	}
	said.State = nic.ObservedIn
	p.pass(nic.StepMoved)
	p.done = true
	return nil
}

// given says whether Docker lets the container open the device of its NIC, and says
// in the conditions if it does not. That stays so for as long as the container is there.
func given(c containers.Container, said *nic.Observed) bool {
	if c.MayOpen(said.Device) {
		return true
	}
	has := "no device of /dev/vfio"
	others := slices.DeleteFunc(slices.Clone(c.Devices), func(d string) bool {
		return !strings.HasPrefix(d, "/dev/vfio/") || d == "/dev/vfio/vfio"
	})
	if len(others) > 0 {
		has = strings.Join(others, ", ") + ", which may be another container's by now"
	}
	nic.SetCondition(&said.Conditions, nic.Condition{
		Reason: nic.ReasonDeviceNotGiven,
		Message: fmt.Sprintf("its NIC is %s, and the container was made with %s: Docker takes devices only then; remove the container "+
			"and make it anew by nicferry run", said.Device, has),
	})
	return false
}

// keepBound has the NIC of a container that does not run ready for its start: Docker
// starts none whose device is not there, so it would never be seen to run.
func (a *Agent) keepBound(ctx context.Context, c *containers.Container, w nic.Wanted, said *nic.Observed) error {
	if err := a.makeReady(ctx, w, said); err != nil {
		return err
	}
	if c != nil && w.Owner.Kind == nic.OwnerContainer {
		given(*c, said)
	}
	return nil
}

// reserved is the container that NICs are reserved for, under the key, in all that
// counts of it: it is about to be made, so they are made ready as for one that has
// been. No engine knows it yet.
func reserved(key string, wishes []nic.Wanted) *containers.Container {
	for _, w := range wishes {
		if w.Owner.Kind == nic.OwnerReservation && w.Owner.Sandbox == key {
			return &containers.Container{ID: key, Name: w.Container, Unstarted: true}
		}
	}
	return nil
}
