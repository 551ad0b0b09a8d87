package sriov

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/made"
	"github.com/nicferry/nicferry/sriov"
)

const (
	// rests is for how long a VF that was given back is taken last of its like.
	rests = time.Minute
	// maxFailed is how many NICs of VFs are made for a claim in vain before it gets what is
	// given instead: what is wrong is not the VF then, but how it is to be set.
	maxFailed = 2
	// maxPicks bounds how often others may be faster.
	maxPicks = 8
)

// Place implements provider.Placer: it chooses VFs of the node's, writes them into
// the recipe, and sets them aside for the NIC until that is deleted. Where no VF is
// free it falls back to what the network allows, or errs with ErrExhausted.
//
// Of a NIC that does not get as far as Create, what is set aside goes with Delete,
// or is let go after a quarter of an hour.
func (p *Provider) Place(ctx context.Context, spec nic.Spec, node nic.Node) (nic.Spec, error) {
	placed, err := p.place(ctx, spec, node, true)
	if err != nil {
		return nic.Spec{}, p.Failing("place", spec.NIC)(err)
	}
	return placed, nil
}

// Fits implements provider.Fitter.
func (p *Provider) Fits(ctx context.Context, spec nic.Spec, node nic.Node) error {
	if _, err := p.place(ctx, spec, node, false); err != nil {
		return p.Failing("place", spec.NIC)(err)
	}
	return nil
}

func (p *Provider) place(ctx context.Context, spec nic.Spec, node nic.Node, keep bool) (nic.Spec, error) {
	if spec.Functions.IsZero() && spec.Device.Kind != "" { // it is placed
		if spec.Node == node.Name {
			return spec, p.CheckPlaced(spec)
		}
		return nic.Spec{}, provider.Errorf(provider.ErrInvalid, "was made of what node %s has, and cannot be on %s", spec.Node, node.Name)
	}
	a, err := understand(spec)
	if err != nil {
		return nic.Spec{}, err
	}
	pfs, err := cards(node)
	if err != nil {
		return nic.Spec{}, err
	}
	done, err := p.placing.Take(ctx, node.Name)
	if err != nil {
		return nic.Spec{}, err
	}
	defer done()
	return p.choose(ctx, a, node.Name, pfs, keep)
}

// settled is the ask's spec with every choice made.
func (p *Provider) settled(a ask, node string, device nic.Device) (nic.Spec, error) {
	spec := a.spec
	spec.Node, spec.Device, spec.Functions, spec.NUMA, spec.Failed = node, device, nic.Functions{}, nil, nil
	spec.Device = made.Recipe(spec)
	return spec, p.CheckPlaced(spec)
}

// choose picks VFs for an ask and sets them aside, unless keep is false.
func (p *Provider) choose(ctx context.Context, a ask, node string, pfs []sriov.PF, keep bool) (nic.Spec, error) {
	entries, err := p.books.of(ctx, node)
	if err != nil {
		return nic.Spec{}, err
	}
	if a.failedVFs() >= maxFailed*len(a.sides) {
		if spec, err := p.fallBack(ctx, a, node, pfs, sriov.ErrNoVF, keep); !errors.Is(err, provider.ErrExhausted) {
			return spec, err
		}
	}
	for swept := false; ; swept = true {
		spec, err := p.pick(ctx, a, node, pfs, entries, keep)
		switch {
		case err == nil || !errors.Is(err, sriov.ErrNoVF):
			return spec, refusal(err)
		case swept:
			spec, err := p.fallBack(ctx, a, node, pfs, err, keep)
			if !errors.Is(err, provider.ErrExhausted) || len(a.spec.Failed) == 0 {
				return spec, err
			}
			a.spec.Failed = nil // of which one may do by now
		}
		if entries, err = p.books.sweep(ctx, entries); err != nil {
			return nic.Spec{}, err
		}
	}
}

// pick picks until nobody else was faster. What was set aside for the NIC before, by
// an attempt whose outcome was not stored, goes first: so two who place it at once
// choose the same.
func (p *Provider) pick(ctx context.Context, a ask, node string, pfs []sriov.PF, entries []entry, keep bool) (nic.Spec, error) {
	others, mine := split(entries, a.spec.NIC)
	request := sriov.Request{
		Sides: a.sides, NUMA: sriov.None, Taken: others, Released: p.books.releases(node), Since: time.Now().Add(-rests),
	}
	if a.spec.NUMA != nil {
		request.NUMA = *a.spec.NUMA
	}
	for _, pci := range a.spec.Failed {
		request.Taken[sriov.Address(pci)] = true
	}
	for range maxPicks {
		vfs, err := sriov.Pick(only(pfs, mine), request)
		if err != nil {
			vfs, err = sriov.Pick(pfs, request)
		}
		if err != nil {
			return nic.Spec{}, err
		}
		spec, err := p.settled(a, node, deviceOf(a, vfs))
		if err != nil || !keep {
			return spec, err
		}
		lost, err := p.books.take(ctx, node, a.spec.NIC, addresses(spec.Device))
		if err != nil || len(lost) == 0 {
			return spec, err
		}
		for _, l := range lost {
			request.Taken[l.vf] = true
		}
	}
	return nic.Spec{}, &provider.Error{
		Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: settles,
		Err: errors.New("other controllers take the node's VFs as fast as they are chosen here"),
	}
}

// only are the cards with those VFs alone.
func only(pfs []sriov.PF, vfs []sriov.Address) []sriov.PF {
	pfs = slices.Clone(pfs)
	for i := range pfs {
		pfs[i].VFs = slices.DeleteFunc(slices.Clone(pfs[i].VFs), func(vf sriov.VF) bool { return !slices.Contains(vfs, vf.Address) })
	}
	return pfs
}

// deviceOf is the recipe for the VFs that were picked.
func deviceOf(a ask, vfs []sriov.VF) nic.Device {
	f := a.spec.Functions
	parts := make([]nic.VF, len(vfs))
	for i, vf := range vfs {
		parts[i] = nic.VF{
			PCI: string(vf.Address), PF: string(vf.PF), Index: vf.Index, Name: vf.Name, Set: a.set, UserSpace: f.UserSpace,
		}
		if i > 0 && !f.Bond.OneMAC() {
			parts[i].Set.MAC = nic.NewMAC()
		}
	}
	if len(parts) == 1 {
		return nic.Device{Kind: nic.SRIOV, VF: parts[0]}
	}
	return nic.Device{Kind: nic.Bonded, Bond: nic.Bond{Mode: f.Bond, Members: parts, Monitor: f.Monitor}}
}

// refusal gives a refusal of Pick's its kind: what a node does not have it will not
// have later.
func refusal(err error) error {
	if errors.Is(err, sriov.ErrNoPF) || errors.Is(err, sriov.ErrOnePF) {
		return &provider.Error{Kind: provider.ErrInvalid, Scope: provider.ScopeNode, Err: err}
	}
	return err
}
