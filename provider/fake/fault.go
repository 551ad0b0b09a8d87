package fake

import (
	"errors"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A fault strikes one call.
type fault struct {
	err   error
	after bool
}

// Fail makes the next call of op fail with err and without any effect. err is
// a kind of package provider or a *provider.Error with more to say; anything
// else is the cause of an ErrUnknown. Several faults of one op strike one call
// each, in turn.
func (p *Provider) Fail(op string, err error) { p.plan(op, fault{err: err}) }

// Lose makes the next call of op lose its reply: its effect takes place, the
// caller gets ErrUnknown. A call that would fail anyway fails as it would.
func (p *Provider) Lose(op string) {
	p.plan(op, fault{err: unknown(errors.New("the connection broke before the reply")), after: true})
}

// Forgive drops the faults that have struck no call yet.
func (p *Provider) Forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.faults)
}

func (p *Provider) plan(op string, f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[op] = append(p.faults[op], f)
}

func (p *Provider) takeFault(op string) *fault {
	planned := p.faults[op]
	if len(planned) == 0 {
		return nil
	}
	p.faults[op] = planned[1:]
	return &planned[0]
}

// Stick makes a NIC's detaching never end, as when the guest hangs, until
// Unstick. It does nothing if there is no such NIC.
func (p *Provider) Stick(id nic.ID) { p.change(id, func(r *record) { r.stuck = true }) }

// Unstick undoes Stick.
func (p *Provider) Unstick(id nic.ID) { p.change(id, func(r *record) { r.stuck = false }) }

// Bounce makes a NIC's next attaching end in available, silently, as ECS does
// when the instance did not take it.
func (p *Provider) Bounce(id nic.ID) { p.change(id, func(r *record) { r.bounce = true }) }

func (p *Provider) change(id nic.ID, do func(*record)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.nics[id]; r != nil {
		do(r)
	}
}

// A Foreign is a NIC in the fake's world that does not carry our tag.
type Foreign struct {
	ProviderID string
	// Name may be anything, also one of our ids: it is no tag.
	Name string
	// Instance is where it is plugged in and takes a slot; empty for nowhere.
	Instance nic.InstanceID
}

// Plant puts foreign NICs into the world.
func (p *Provider) Plant(fs ...Foreign) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.foreign = append(p.foreign, fs...)
}

// Foreign returns the foreign NICs as they are now, so that a test can see
// that nothing touched them.
func (p *Provider) Foreign() []Foreign {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Foreign(nil), p.foreign...)
}

// fail makes err the *provider.Error of a call; nil stays nil.
func (p *Provider) fail(c Call, err error) error {
	if err == nil {
		return nil
	}
	e := provider.Error{Kind: provider.ErrUnknown, Err: err}
	if said, ok := errors.AsType[*provider.Error](err); ok {
		e = *said
	} else if isKind(err) {
		e = provider.Error{Kind: err}
	}
	if e.Scope == "" {
		e.Scope = provider.ScopeNIC
	}
	e.Provider, e.Op, e.ID = p.opts.Name, c.Op, c.ID
	return &e
}
