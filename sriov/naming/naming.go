//go:build linux

// Package naming gives the interfaces of VFs the names that a node knows them by.
package naming

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/sriov"
)

// Options say where a Namer works.
type Options struct {
	// Host is the machine's own network namespace, which must stay open until Close.
	// Required.
	Host *netns.Namespace
	// State is the directory for the names that VFs had, which survive the process
	// and not the machine's boot: sysfs.DefaultState. Required; it need not be there.
	State string
	// Root is the directory above sys and run. Optional: /.
	Root string
	// Spare leaves a VF alone, such as one that a container is about to get. Optional.
	Spare func(sriov.Address) bool
}

// A Namer renames interfaces of VFs. The name that one had stays as an alternative
// name. It is for one goroutine at a time.
type Namer struct {
	opts Options
	host *link.Handle
}

// New opens the namespace. The Namer is to be closed.
func New(opts Options) (*Namer, error) {
	if opts.Root == "" {
		opts.Root = "/"
	}
	if opts.Spare == nil {
		opts.Spare = func(sriov.Address) bool { return false }
	}
	host, err := link.Open(opts.Host)
	if err != nil {
		return nil, err
	}
	return &Namer{opts, host}, nil
}

// Close ends it. The namespace stays open.
func (n *Namer) Close() { n.host.Close() }

// A Result is what came of a look at all VFs.
type Result struct {
	// Named is how many interfaces have their name and did not before.
	Named int
	// Waiting are VFs that udev is still at work on: it would fail over a name that
	// changes meanwhile, or change it back.
	Waiting []string
	// Kept are VFs that keep another name, each with the reason: somebody uses them.
	Kept []string
}

// Name gives the VFs that nobody uses their names, by their addresses. Those that have
// them cost nothing but a look. What cannot be named is in the error, and all others
// are named all the same.
func (n *Namer) Name(pfs []sriov.PF, names map[sriov.Address]string) (Result, error) {
	return n.name(pfs, names, true)
}

func (n *Namer) name(pfs []sriov.PF, names map[sriov.Address]string, patient bool) (r Result, err error) {
	var faults []error
	for _, pf := range pfs {
		for _, vf := range pf.VFs {
			name := names[vf.Address]
			switch {
			case name == "" || vf.Name == "" || n.opts.Spare(vf.Address):
			case vf.Use.How != sriov.Free:
				if vf.Name != name {
					r.Kept = append(r.Kept, fmt.Sprintf("%s is not called %s, since it is %s", vf.Label(), name, vf.Use))
				}
			default:
				faults = append(faults, n.one(vf, name, patient, &r))
			}
		}
	}
	return r, errors.Join(faults...)
}

// one names one VF's interface, if it still is that.
func (n *Namer) one(vf sriov.VF, name string, patient bool, r *Result) error {
	former := n.former(vf.Address)
	if vf.Name == name && former == "" {
		return nil // by this name from the beginning, or by others
	}
	l, err := n.host.ByName(vf.Name)
	if errors.Is(err, link.ErrNotFound) {
		return nil // it went, or has another name meanwhile: the next look finds it
	}
	if err != nil {
		return err
	}
	if l.PCI != "" && l.PCI != string(vf.Address) || l.Name != vf.Name || l.Up || l.Master != 0 {
		return nil // as it was when somebody else looked
	}
	if patient && n.busy(l.Index) {
		r.Waiting = append(r.Waiting, vf.Label())
		return nil
	}
	if l.Name != name {
		if former == "" && !ours(l.Name) {
			former = l.Name
			if err := n.note(vf.Address, former); err != nil { // first: it is nowhere else afterwards
				return err
			}
		}
		if err := n.rename(l, name); err != nil {
			return err
		}
		l.Name = name
		r.Named++
	}
	return n.keep(l, former)
}

// rename gives a link that is down its name.
func (n *Namer) rename(l link.Link, name string) error {
	if slices.Contains(l.AltNames, name) { // the kernel takes no name twice, also of one link
		if err := n.host.DropAltNames(l); err != nil {
			return err
		}
	}
	err := n.host.Set(l, link.Change{Name: name})
	switch {
	case errors.Is(err, link.ErrNotFound):
		return nil // it went
	case errors.Is(err, link.ErrExists):
		return fmt.Errorf("%w: an interface that is not this VF's goes by %s, see ip -d link show %s; rename that, or have VFs' names part "+
			"their numbers by sriov: {separator: true} in agent.yaml", err, name, name)
	}
	return err
}

// keep has a link go by its former name as well. Another's by now is let be.
func (n *Namer) keep(l link.Link, former string) error {
	if former == "" || l.HasName(former) {
		return nil
	}
	err := n.host.AddAltName(l, former)
	if errors.Is(err, link.ErrExists) || errors.Is(err, link.ErrNotFound) {
		return nil
	}
	return err
}

// madeUp are the names that an agent gives what has none.
var madeUp = regexp.MustCompile(`^n[tb][0-9a-f]{12}[a-z]?$`)

// ours says whether an interface's name is none that anybody would look for: one that
// an agent makes up, or one of another numbering.
func ours(name string) bool {
	_, _, ok := sriov.ParseVF(name)
	return ok || madeUp.MatchString(name)
}
