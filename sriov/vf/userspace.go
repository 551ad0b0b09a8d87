//go:build linux

package vf

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/nic"
)

// UserSpace hands VFs to programs in user space and takes them back; a vfio.Binder
// does. All its methods may be called again after a crash at any point.
type UserSpace interface {
	// Driver is what serves the VF at present.
	Driver(pci string) (nic.VFDriver, error)
	// Bind hands it to user space, where it may: else it says why.
	Bind(ctx context.Context, pci string) error
	// Unbind gives it the driver that it had before.
	Unbind(ctx context.Context, pci string, was nic.VFDriver) error
	// Closed is an error while a program has it open.
	Closed(pci string) error
	// Device is what a program opens to drive it.
	Device(pci string) (string, error)
}

// Device is what a program opens to drive a VF that Apply has handed to user space.
func (s *Setter) Device(pci string) (string, error) { return s.opts.UserSpace.Device(pci) }

// withDriver is how the VF was before, with its driver if it is to go to user space.
func (s *Setter) withDriver(v nic.VF, was nic.VFWas) (nic.VFWas, error) {
	if !v.UserSpace || was.Driver != nil {
		return was, nil
	}
	driver, err := s.opts.UserSpace.Driver(v.PCI)
	if err != nil {
		return was, err
	}
	was.Driver = &driver
	return was, nil
}

// give has the VF be where the recipe says, in user space or not. Its PF has set it by
// then: a driver may look at that only when it is bound.
func (s *Setter) give(ctx context.Context, v nic.VF, was nic.VFWas) error {
	if v.UserSpace {
		return s.opts.UserSpace.Bind(ctx, v.PCI)
	}
	return s.takeBack(ctx, v, was) // its last owner may have left it there
}

func (s *Setter) takeBack(ctx context.Context, v nic.VF, was nic.VFWas) error {
	if was.Driver == nil {
		return nil
	}
	return s.opts.UserSpace.Unbind(ctx, v.PCI, *was.Driver)
}

// noUserSpace is for a setter that is given none.
type noUserSpace struct{}

var errNoUserSpace = errors.New("this agent hands no VFs to programs in user space")

func (noUserSpace) Driver(string) (nic.VFDriver, error)                { return nic.VFDriver{}, errNoUserSpace }
func (noUserSpace) Bind(context.Context, string) error                 { return errNoUserSpace }
func (noUserSpace) Unbind(context.Context, string, nic.VFDriver) error { return errNoUserSpace }
func (noUserSpace) Closed(string) error                                { return errNoUserSpace }
func (noUserSpace) Device(string) (string, error)                      { return "", errNoUserSpace }
