package allocator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The verbs that are paced.
const (
	opCreate = "create"
	opAttach = "attach"
	opDetach = "detach"
	opDelete = "delete"
)

// turnAgain is when a NIC whose turn has not come asks by itself; it is woken
// when it has.
const turnAgain = 30 * time.Second

// A paced provider is called within its rates. What does not get through at once
// waits for its turn without a worker, and the nodes take turns, so that the
// burst of one is not the wait of all (F08).
type paced struct {
	provider.Provider
	verbs  map[string]*pacer
	waited func(verb string) // is told of each that has to wait
	holds  func(context.Context) error
}

// newPaced paces p. wake has a NIC worked on, whose turn it is; node says which
// it is for.
func newPaced(p provider.Provider, node func(nic.ID) string, wake func(nic.ID)) *paced {
	r := p.Info().Rates
	verbs := map[string]*pacer{}
	for verb, rate := range map[string]provider.Rate{opCreate: r.Create, opAttach: r.Attach, opDetach: r.Detach, opDelete: r.Delete} {
		verbs[verb] = newPacer(rate, node, wake)
	}
	return &paced{p, verbs, func(string) {}, func(context.Context) error { return nil }}
}

// Unwrap is for provider.As.
func (p *paced) Unwrap() provider.Provider { return p.Provider }

// errTurn is the cause of an ErrThrottled that never got to the provider.
var errTurn = errors.New("waits for its turn: the provider takes no more calls of this kind at present")

// turn is the error of a call that has to wait; nil if it may be made.
func (p *paced) turn(verb string, id nic.ID, pass func(nic.ID) bool) error {
	if pass(id) {
		return nil
	}
	p.waited(verb)
	return &provider.Error{
		Kind: provider.ErrThrottled, Scope: provider.ScopeAccount, Provider: p.Info().Name, Op: verb, ID: id, RetryAfter: turnAgain, Err: errTurn,
	}
}

func (p *paced) call(ctx context.Context, verb string, id nic.ID, do func() error) error {
	pacer := p.verbs[verb]
	if err := p.turn(verb, id, pacer.pass); err != nil {
		return err
	}
	if err := p.holds(ctx); err != nil {
		return notLeading(p.Info().Name, verb, id, err)
	}
	err := do()
	pacer.heard(err)
	return err
}

// notLeading is the error of a call that was not made, because another controller may
// make it.
func notLeading(providerName, verb string, id nic.ID, err error) error {
	return &provider.Error{
		Kind: provider.ErrThrottled, Scope: provider.ScopeAccount, Provider: providerName, Op: verb, ID: id, RetryAfter: turnAgain,
		Err: fmt.Errorf("%w: %w", errTurn, err),
	}
}

// book waits for the NIC's turn to be created, and keeps it for the call.
func (p *paced) book(id nic.ID) error { return p.turn(opCreate, id, p.verbs[opCreate].book) }

// unbook gives back what book kept, if the call is not made soon.
func (p *paced) unbook(id nic.ID) { p.verbs[opCreate].refund(id, time.Now()) }

// Create is the provider's.
func (p *paced) Create(ctx context.Context, spec nic.Spec) (seen nic.Seen, err error) {
	err = p.call(ctx, opCreate, spec.NIC, func() error { seen, err = p.Provider.Create(ctx, spec); return err })
	return seen, err
}

// Attach is the provider's.
func (p *paced) Attach(ctx context.Context, id nic.ID, place nic.Place) (seen nic.Seen, err error) {
	err = p.call(ctx, opAttach, id, func() error { seen, err = p.Provider.Attach(ctx, id, place); return err })
	return seen, err
}

// Detach is the provider's.
func (p *paced) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	return p.call(ctx, opDetach, id, func() error { return p.Provider.Detach(ctx, id, instance) })
}

// Delete is the provider's.
func (p *paced) Delete(ctx context.Context, id nic.ID) error {
	return p.call(ctx, opDelete, id, func() error { return p.Provider.Delete(ctx, id) })
}

// stop ends the timer.
func (p *paced) stop() {
	for _, pacer := range p.verbs {
		pacer.mu.Lock()
		if pacer.timer != nil {
			pacer.timer.Stop()
			pacer.timer = nil
		}
		pacer.mu.Unlock()
	}
}

// pace has all providers called within their rates.
func (a *Allocator) pace(providers map[string]provider.Provider) map[string]provider.Provider {
	all := map[string]provider.Provider{}
	for name, p := range providers {
		paced := newPaced(observed{p, name, a.opts.Observer}, a.nodeOf, func(id nic.ID) { a.queue.Wake(nicKey(id)) })
		paced.waited = func(verb string) { a.opts.Observer.Waited(name, verb) }
		paced.holds = a.opts.Holds
		all[name] = paced
	}
	return all
}

// refund takes back the turns that a NIC got before that time and has not taken,
// but for one that it has booked.
func (a *Allocator) refund(n nic.NIC, before time.Time) {
	for _, p := range a.opts.Providers {
		paced, ok := p.(*paced)
		if !ok {
			continue
		}
		for verb, pacer := range paced.verbs {
			if verb != opCreate || n.Phase != nic.PhasePlanned {
				pacer.refund(n.ID, before)
			}
		}
	}
}

// endPaces ends the waiting for turns.
func (a *Allocator) endPaces() {
	for _, p := range a.opts.Providers {
		if paced, ok := p.(*paced); ok {
			paced.stop()
		}
	}
}

// nodeOf is which node a NIC is for, as the leader knows it.
func (a *Allocator) nodeOf(id nic.ID) string {
	a.changes.mu.Lock()
	defer a.changes.mu.Unlock()
	return a.changes.nics[id].mark().node
}
