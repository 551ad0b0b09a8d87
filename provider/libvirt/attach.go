package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// letGo is how long a running guest gets for an unplug. One that still has the
// card then has refused or lost the request, and the NIC may be attached there
// again. Native hot-plug takes 6 s where all is well.
const letGo = 20 * time.Second

// Attach implements provider.Provider. libvirt plugs in before it answers; a
// guest that is frozen finds the card when it wakes. Into a domain that is off
// it goes by the stored definition. What is in one definition only is put into
// the other too. ErrBusy with RetryAfter is a domain that another call is at, or
// one whose empty ports all rest.
func (p *Provider) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, worstCall) // whatever the caller grants: see underway
	defer cancel()
	seen, err := p.attach(ctx, id, place)
	if err != nil {
		return nic.Seen{}, p.failing("attach", id)(err)
	}
	return seen, nil
}

func (p *Provider) attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	hv, err := p.conn.get(ctx)
	if err != nil {
		return nic.Seen{}, err
	}
	d, err := p.domain(ctx, hv, string(place.Instance))
	if errors.Is(err, virt.ErrNoDomain) {
		err = noDomain(provider.ErrInvalid, place.Instance)
	}
	if err != nil {
		return nic.Seen{}, err
	}
	release, err := p.locks.lock(ctx, d.UUID)
	if err != nil {
		return nic.Seen{}, err
	}
	defer release()
	var plan plan
	err = p.log.Change(ctx, id, func(h ledgerlog.History) (*ledgerlog.Step, error) {
		domains, err := p.domains(ctx, hv)
		if err != nil {
			return nil, err
		}
		plan, err = p.planAttach(h, domains, d.UUID, place)
		return plan.step, err
	})
	if err != nil {
		return nic.Seen{}, err
	}
	if plan.plug {
		if err := p.plug(ctx, hv, plan); err != nil {
			return nic.Seen{}, err
		}
	}
	return p.attached(ctx, hv, plan)
}

// A plan is what Attach is to do.
type plan struct {
	step *ledgerlog.Step // nil where it is recorded already
	plug bool            // something is missing in the domain
	mend bool            // only in its stored definition
	card virt.Interface
	id   nic.ID
	uuid string
}

func (p *Provider) planAttach(h ledgerlog.History, domains []virt.Domain, uuid string, place nic.Place) (plan, error) {
	if h.Last.Do == ledgerlog.Erase {
		return plan{}, provider.Errorf(provider.ErrNotFound, "is being deleted")
	}
	var d virt.Domain
	var here site
	for _, one := range domains {
		if one.UUID == uuid {
			d = one
		}
	}
	if d.UUID == "" {
		return plan{}, noDomain(provider.ErrInvalid, place.Instance)
	}
	sites := find(domains, h.ID, h.Spec.MAC)
	for _, s := range sites {
		if s.domain.UUID != uuid {
			return plan{}, provider.Errorf(provider.ErrElsewhere, "in %s; detach it there first", s)
		}
		here = s
	}
	if len(sites) == 0 && underway(h.Last, domains) && h.Last.Machine != uuid {
		return plan{}, provider.Errorf(provider.ErrElsewhere, "being plugged into %s", h.Last.Place.Instance)
	}
	if here.live != nil && leaving(h.Last, d, p.lastAsked(h.ID)) {
		return plan{}, provider.Errorf(provider.ErrBusy, "is on its way out of %s, whose guest has not let it go", d.Name)
	}
	next := plan{id: h.ID, uuid: uuid, card: card(h.Spec)}
	switch {
	case here.live != nil:
		next.plug, next.mend = here.stored == nil && !d.Transient, true
	case d.State == virt.Off && here.stored != nil:
	default:
		if err := hasRoom(d, h); err != nil {
			return plan{}, err
		}
		address, rest := p.ports.longestEmpty(d)
		if rest > 0 {
			return plan{}, busyFor(rest, "each empty port of %s rests until its guest has forgotten the card before", d.Name)
		}
		next.plug, next.card.Address = true, address
	}
	s := ledgerlog.Step{Do: ledgerlog.Attach, Place: place, Machine: uuid, At: time.Now()}
	recorded := h.Last.Do == s.Do && h.Last.Place == s.Place && h.Last.Machine == s.Machine
	if !recorded || next.plug && !underway(h.Last, domains) {
		next.step = &s
	}
	return next, nil
}

// leaving says whether an unplug of a card that the domain still has may yet be
// carried out by the guest.
func leaving(last ledgerlog.Step, d virt.Domain, asked time.Time) bool {
	if last.Do != ledgerlog.Detach || !at(last, d) {
		return false
	}
	return d.State == virt.Paused || recent(asked, letGo) || recent(last.At, letGo)
}

// hasRoom refuses a domain that has no slot, or another card under the NIC's
// alias or MAC: a guest with two cards of one MAC could be given the wrong one.
func hasRoom(d virt.Domain, h ledgerlog.History) error {
	for _, cards := range [][]virt.Interface{d.Live, d.Stored} {
		for _, c := range cards {
			ourAlias, ourMAC := c.Alias == alias(h.ID), c.MAC == h.Spec.MAC
			if ourAlias && !ourMAC {
				return provider.Errorf(provider.ErrInvalid, "%s has another card, with the MAC %s, under the alias %s; take it out with virsh detach-device", d.Name, c.MAC, c.Alias)
			}
			if ourMAC && !ourAlias {
				return provider.Errorf(provider.ErrInvalid, "%s has another card, with the alias %q, under the MAC %s", d.Name, c.Alias, c.MAC)
			}
		}
	}
	if d.Slots.Free <= 0 {
		return &provider.Error{
			Kind: provider.ErrExhausted, Scope: provider.ScopeNode,
			Err: fmt.Errorf("%s: 0 of %d %ss free; give its definition more pcie-root-port controllers", d.Name, d.Slots.Total, slotName),
		}
	}
	return nil
}

// plug calls the hypervisor. What it has refused is taken back whole.
func (p *Provider) plug(ctx context.Context, hv Hypervisor, plan plan) error {
	err := p.plugIn(ctx, hv, plan)
	switch {
	case err == nil:
		return nil
	case plan.mend: // it is plugged in, and that is what counts
		p.opts.Log.Warn("NIC is not in the domain's stored definition and will be gone after its next stop",
			"nic", plan.id, "domain", plan.uuid, "err", err)
		return nil
	case classify(err).Kind == provider.ErrUnknown:
		return err
	}
	if errors.Is(err, virt.ErrTaken) {
		if d, lookErr := hv.Domain(ctx, plan.uuid); lookErr == nil && pick(d.Live, plan.id, plan.card.MAC) != nil {
			return nil // an earlier call of ours has come through
		}
	}
	return also(err, p.undo(ctx, hv, plan))
}

func (p *Provider) plugIn(ctx context.Context, hv Hypervisor, plan plan) error {
	err := hv.Plug(ctx, plan.uuid, plan.card)
	if errors.Is(err, virt.ErrTaken) && plan.card.Address != "" { // perhaps it is the port, by other hands
		plan.card.Address = ""
		err = hv.Plug(ctx, plan.uuid, plan.card)
	}
	return err
}

// undo takes out what a refused plug may have left, and records that the NIC
// is nowhere.
func (p *Provider) undo(ctx context.Context, hv Hypervisor, plan plan) error {
	if err := p.takeOut(ctx, hv, plan); err != nil {
		return err
	}
	return p.log.Change(ctx, plan.id, func(h ledgerlog.History) (*ledgerlog.Step, error) {
		if h.Last.Do != ledgerlog.Attach || h.Last.Machine != plan.uuid {
			return nil, nil
		}
		return &ledgerlog.Step{Do: ledgerlog.Left}, nil
	})
}

func (p *Provider) takeOut(ctx context.Context, hv Hypervisor, plan plan) error {
	d, err := hv.Domain(ctx, plan.uuid)
	if errors.Is(err, virt.ErrNoDomain) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range find([]virt.Domain{d}, plan.id, plan.card.MAC) {
		err := hv.Unplug(ctx, plan.uuid, s.card())
		if err != nil && !errors.Is(err, virt.ErrNoInterface) && !errors.Is(err, virt.ErrNoDomain) {
			return fmt.Errorf("take back what was plugged in: %w", err)
		}
	}
	return nil
}

// attached looks at what has become of the NIC. If another controller has
// decided otherwise meanwhile, its word stands.
func (p *Provider) attached(ctx context.Context, hv Hypervisor, plan plan) (nic.Seen, error) {
	h, err := p.log.Read(ctx, plan.id)
	if err != nil {
		return nic.Seen{}, err
	}
	if !h.Known || h.Last.Machine != plan.uuid {
		err := provider.Errorf(provider.ErrBusy, "another controller has changed it meanwhile")
		return nic.Seen{}, also(err, p.takeOut(ctx, hv, plan))
	}
	d, err := p.domain(ctx, hv, plan.uuid)
	if errors.Is(err, virt.ErrNoDomain) {
		return nic.Seen{}, noDomain(provider.ErrInvalid, h.Last.Place.Instance)
	}
	if err != nil {
		return nic.Seen{}, err
	}
	return judge(h, []virt.Domain{d})
}
