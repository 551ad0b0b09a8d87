package libvirt

import (
	"context"
	"errors"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// spacing is how long to wait before a guest is asked again to let a card go.
// With native hot-plug a second request while the first one blinks is refused,
// and guests have been seen to take the pair of them for a cancelled one (F27).
// With ACPI a guest that has heard of it already does it twice; see resting.
const spacing = 5 * time.Second

// Detach implements provider.Provider. Nil means that the guest was asked: the
// NIC is available when no definition of the domain has it. A guest that is
// frozen, or still boots, may forget, so callers repeat Detach until then; the
// guest is not asked more often than it can bear. ErrBusy is a guest that takes
// no request now, such as one with native hot-plug that has just got the card,
// or with RetryAfter a domain that another call is at.
func (p *Provider) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	ctx, cancel := context.WithTimeout(ctx, worstCall)
	defer cancel()
	if err := p.detach(ctx, id, instance); err != nil {
		return p.failing("detach", id)(err)
	}
	return nil
}

func (p *Provider) detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	hv, err := p.conn.get(ctx)
	if err != nil {
		return err
	}
	h, err := p.log.Read(ctx, id)
	if err != nil {
		return err
	}
	domains, err := p.domains(ctx, hv)
	if err != nil {
		return err
	}
	if uuid := target(domains, h, instance); uuid != "" {
		release, err := p.locks.lock(ctx, uuid) // a plug of ours in progress there ends first
		if err != nil {
			return err
		}
		defer release()
	}
	var s site
	var fresh bool // the step is this call's
	err = p.log.Change(ctx, id, func(h ledgerlog.History) (step *ledgerlog.Step, err error) {
		s, step, err = p.planDetach(ctx, hv, h, instance)
		fresh = step != nil
		return step, err
	})
	if err != nil || s.domain.UUID == "" {
		return err
	}
	return p.unplug(ctx, hv, id, s, fresh)
}

// target returns the UUID of the domain that a detach is about, or "".
func target(domains []virt.Domain, h ledgerlog.History, instance nic.InstanceID) string {
	if s, ok := under(find(domains, h.ID, h.Spec.MAC), h.Last, instance); ok {
		return s.domain.UUID
	}
	for _, d := range domains {
		if answers(d, instance) {
			return d.UUID
		}
	}
	return ""
}

// planDetach returns the site to take the NIC out of, if there is one, and the
// step to record.
func (p *Provider) planDetach(ctx context.Context, hv Hypervisor, h ledgerlog.History, instance nic.InstanceID) (site, *ledgerlog.Step, error) {
	domains, err := p.domains(ctx, hv)
	if err != nil {
		return site{}, nil, err
	}
	sites := find(domains, h.ID, h.Spec.MAC)
	s, here := under(sites, h.Last, instance)
	switch {
	case !here && len(sites) > 0:
		return site{}, nil, provider.Errorf(provider.ErrElsewhere, "in %s", list(sites))
	case !here && h.Last.Do == ledgerlog.Attach && h.Last.Place.Instance == instance:
		// Gone, or the plug of another controller is under way: it will find
		// that the NIC is not wanted there any more.
		return site{}, &ledgerlog.Step{Do: ledgerlog.Detach, Place: h.Last.Place, Machine: h.Last.Machine, At: time.Now()}, nil
	case !here && underway(h.Last, domains):
		return site{}, nil, provider.Errorf(provider.ErrElsewhere, "being plugged into %s", h.Last.Place.Instance)
	case !here, h.Last.Do == ledgerlog.Erase, h.Last.Do == ledgerlog.Detach && h.Last.Machine == s.domain.UUID:
		return s, nil, nil
	}
	where := place(h.Last, s.domain)
	return s, &ledgerlog.Step{Do: ledgerlog.Detach, Place: where, Machine: s.domain.UUID, At: time.Now()}, nil
}

// unplug asks the guest, unless it was asked just now. What libvirt refuses
// outright is recorded as attached again, if fresh says that this call had it
// recorded as leaving.
func (p *Provider) unplug(ctx context.Context, hv Hypervisor, id nic.ID, s site, fresh bool) error {
	last, ok := p.mayAsk(id, s, fresh)
	if !ok && last.refused {
		return provider.Errorf(provider.ErrBusy, "the guest of %s took no request at %s, and is asked again soon", s.domain.Name, last.at.Format(time.TimeOnly))
	}
	if !ok {
		return nil
	}
	err := hv.Unplug(ctx, s.domain.UUID, s.card())
	switch {
	case err == nil, errors.Is(err, virt.ErrNoInterface), errors.Is(err, virt.ErrNoDomain):
		return nil
	case errors.Is(err, virt.ErrBusy):
		p.noteRefusal(id) // so that nobody takes it for asked
		return err
	case errors.Is(err, virt.ErrTaken):
		return provider.Errorf(provider.ErrBusy, "the domain has changed meanwhile: %s", err)
	case !fresh || !refused(err):
		return err
	}
	return also(err, p.log.Change(ctx, id, func(h ledgerlog.History) (*ledgerlog.Step, error) {
		if h.Last.Do != ledgerlog.Detach || h.Last.Machine != s.domain.UUID {
			return nil, nil
		}
		return &ledgerlog.Step{Do: ledgerlog.Attach, Place: h.Last.Place, Machine: h.Last.Machine, At: h.Last.At}, nil
	}))
}

// A request is that a guest let a card go.
type request struct {
	at      time.Time
	refused bool // the guest was busy
}

// mayAsk says whether the guest may be asked now, and notes that it is; if not,
// it returns the last request. A definition that is only stored can be changed
// at any time, and what was asked before the NIC was attached last does not
// count.
func (p *Provider) mayAsk(id nic.ID, s site, fresh bool) (last request, ok bool) {
	if s.live == nil {
		return request{}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last = p.asked[id]
	if !fresh && time.Since(last.at) < spacing {
		return last, false
	}
	p.asked[id] = request{at: time.Now()}
	return last, true
}

func (p *Provider) noteRefusal(id nic.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.asked[id]; ok {
		p.asked[id] = request{last.at, true}
	}
}

// lastAsked is when this controller last asked a guest to let the NIC go.
func (p *Provider) lastAsked(id nic.ID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[id].at
}

func (p *Provider) forget(id nic.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.asked, id)
}
