package eni

import (
	"errors"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// failing returns the function that makes any error of an op the caller's.
func (p *Provider) failing(op string, id nic.ID) func(error) error {
	return provider.Failing(p.opts.Name, op, id, func(err error) provider.Error {
		return provider.Error{Kind: provider.ErrUnknown, Err: err}
	})
}

// is says whether an error is of that kind and reaches so far.
func is(err, kind error, scope provider.Scope) bool {
	e, ok := errors.AsType[*provider.Error](err)
	return ok && e.Kind == kind && e.Scope == scope
}

// busyInstead makes an answer of the cloud one that comes of asking too soon: nothing
// has been done, and it may be otherwise after wait.
func busyInstead(err error, wait time.Duration) error {
	e := provider.Error{Err: err}
	if known, ok := errors.AsType[*provider.Error](err); ok {
		e = *known
	}
	e.Kind, e.RetryAfter = provider.ErrBusy, wait
	return &e
}

// perhapsYoung makes "not found" of a NIC that we have just made what it is: the cloud
// does not show it yet.
func (p *Provider) perhapsYoung(id nic.ID, err error) error {
	if is(err, provider.ErrNotFound, provider.ScopeNIC) && p.recent.of(id).young() {
		return busyInstead(err, retryYoung)
	}
	return err
}

// notShown is the error of a NIC that a look has not found.
func (p *Provider) notShown() error {
	return provider.Errorf(provider.ErrNotFound, "%s shows no interface with its tag", p.traits.API)
}
