//go:build linux

// Package vf sets virtual functions by their physical functions, and sets them
// back.
package vf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// The kinds of error that callers act on.
var (
	// ErrNotFound: the node has no such PF, or the PF no such VF.
	ErrNotFound = errors.New("no such virtual function")
	// ErrTaken: another NIC has the VF, or somebody who is none of ours.
	ErrTaken = errors.New("is somebody else's")
	// ErrAway: the VF has a driver, and no interface in the host's namespace.
	ErrAway = errors.New("is not in the host's namespace")
	// ErrUntold: the recipe does not say what the settings were before in this boot.
	// The controller has to be told, by what Take returns, before anything is set.
	ErrUntold = errors.New("former settings are not in the recipe yet")
	// ErrRefused: the driver refuses a setting, or takes it and does not keep it. See
	// FieldError.
	ErrRefused = errors.New("the driver refuses it")
)

// A Kernel is what the room needs of rtnetlink in the host's namespace; a
// [link.Handle] is one.
type Kernel interface {
	Links() ([]link.Link, error)
	PF(index int) (link.PF, error)
	SetVF(pf link.Link, vf int, c link.VFChange) error
}

// A Bus is what it needs of PCI; [Sysfs] is one.
type Bus interface {
	// Function is the address of a PF's VF by its number, or ErrNotFound.
	Function(pf string, index int) (pci string, err error)
	// Driver is what serves the VF, or empty.
	Driver(pci string) (string, error)
	// Rebind takes the VF's driver off and has it probe the VF again; a VF without one is
	// probed. Its interface goes, and another one comes soon after the return.
	Rebind(pci string) error
}

// Options are the parts of a Setter.
type Options struct {
	Kernel Kernel // required
	Bus    Bus    // required
	// Dir, required, is where it is noted who has which VF. A boot must empty it, as
	// it does /run, and all processes that set VFs must use the same one.
	Dir string
	// Boot, required, is the id of the node's boot.
	Boot string
	// Patience, optional, bounds the wait for others who work at the same VF; 60 s.
	Patience time.Duration
	// Gone, optional, says whether a NIC is for certain wanted no more on this node. Its VFs
	// may be taken over, with the settings from before it.
	Gone func(nic.ID) bool
	// UserSpace, optional, is for recipes of VFs that programs drive; without it they are
	// refused.
	UserSpace UserSpace
	// Log, optional, is told what no caller can do anything about.
	Log *slog.Logger
}

// A Setter sets VFs. Each is worked at by one at a time, in all processes, and has one
// owner: only that may set it, and only that sets it back. All methods may be
// called from several goroutines.
type Setter struct {
	opts Options
	mu   sync.Mutex
	at   map[string]int // index of each PF's interface when last seen
	kept map[kept]bool
}

// New opens a setter and makes its folder.
func New(opts Options) (*Setter, error) {
	switch {
	case opts.Kernel == nil || opts.Bus == nil || opts.Dir == "":
		return nil, errors.New("set VFs: need a kernel, a bus and a folder")
	case opts.Boot == "":
		return nil, errors.New("set VFs: the id of the boot is not known")
	}
	if opts.Patience == 0 {
		opts.Patience = time.Minute
	}
	if opts.Gone == nil {
		opts.Gone = func(nic.ID) bool { return false }
	}
	if opts.UserSpace == nil {
		opts.UserSpace = noUserSpace{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("set VFs: %w", err)
	}
	return &Setter{opts: opts, at: map[string]int{}, kept: map[kept]bool{}}, nil
}

// Read is how the VF is set at present. Without it the error is ErrNotFound.
func (s *Setter) Read(ctx context.Context, v nic.VF) (nic.VFSettings, error) {
	if err := errors.Join(ctx.Err(), v.Check()); err != nil {
		return nic.VFSettings{}, err
	}
	_, now, err := s.read(v)
	return now, err
}

// read finds the PF and what it says of the VF. It is one message where the PF is
// as it was last time.
func (s *Setter) read(v nic.VF) (link.Link, nic.VFSettings, error) {
	pf, err := s.pf(v.PF)
	if err != nil {
		return link.Link{}, nic.VFSettings{}, err
	}
	now, told := pf.VFs[v.Index]
	is, err := s.opts.Bus.Function(v.PF, v.Index)
	switch {
	case !told || errors.Is(err, ErrNotFound):
		return link.Link{}, nic.VFSettings{}, fmt.Errorf("VF %d of %q (%s), which has %d: %w", v.Index, pf.Name, v.PF, len(pf.VFs), ErrNotFound)
	case err != nil:
		return link.Link{}, nic.VFSettings{}, err
	case is != v.PCI: // to go by the number would set another's
		return link.Link{}, nic.VFSettings{}, fmt.Errorf("VF %d of %q (%s) is %s and not %s: %w", v.Index, pf.Name, v.PF, is, v.PCI, ErrNotFound)
	}
	return pf.Link, now, nil
}

func (s *Setter) pf(pci string) (link.PF, error) {
	s.mu.Lock()
	index, seen := s.at[pci]
	s.mu.Unlock()
	if seen {
		pf, err := s.opts.Kernel.PF(index)
		if err == nil && pf.PCI == pci {
			return pf, nil
		}
		if err != nil && !errors.Is(err, link.ErrNotFound) {
			return link.PF{}, err
		}
	}
	l, found, err := s.find(pci)
	if err == nil && !found {
		err = fmt.Errorf("physical function %s has no interface in the host's namespace: %w", pci, ErrNotFound)
	}
	if err != nil {
		return link.PF{}, err
	}
	s.mu.Lock()
	s.at[pci] = l.Index
	s.mu.Unlock()
	return s.opts.Kernel.PF(l.Index)
}

// find looks for the interface of a PCI function in the host's namespace.
func (s *Setter) find(pci string) (link.Link, bool, error) {
	links, err := s.opts.Kernel.Links()
	if err != nil {
		return link.Link{}, false, err
	}
	for _, l := range links {
		if l.PCI == pci {
			return l, true, nil
		}
	}
	return link.Link{}, false, nil
}
