package libvirt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// kinds says what package virt's kinds are in the contract, and how far they
// reach.
var kinds = []struct {
	virt, kind error
	scope      provider.Scope
}{
	{virt.ErrInconclusive, provider.ErrUnknown, provider.ScopeNIC},
	{virt.ErrUnreachable, provider.ErrUnknown, provider.ScopeAccount},
	{virt.ErrNoLibvirt, provider.ErrUnsupported, provider.ScopeAccount},
	{virt.ErrNoDomain, provider.ErrInvalid, provider.ScopeNode},
	{virt.ErrNoInterface, provider.ErrBusy, provider.ScopeNIC}, // it was there a moment ago
	{virt.ErrBusy, provider.ErrBusy, provider.ScopeNode},
	{virt.ErrNoSlot, provider.ErrExhausted, provider.ScopeNode},
	{virt.ErrNotRunning, provider.ErrBusy, provider.ScopeNode}, // it was a moment ago
	{virt.ErrTaken, provider.ErrInvalid, provider.ScopeNIC},
	{virt.ErrDenied, provider.ErrDenied, provider.ScopeAccount},
	{virt.ErrInvalid, provider.ErrInvalid, provider.ScopeNIC},
	{virt.ErrRefused, provider.ErrInvalid, provider.ScopeNode}, // such as a bridge that the host lacks
	{virt.ErrUnsupported, provider.ErrUnsupported, provider.ScopeNode},
}

// failing returns the function that makes any error of an op a *provider.Error of one
// kind.
func (p *Provider) failing(op string, id nic.ID) func(error) error {
	return provider.Failing(p.opts.Name, op, id, classify)
}

// classify says of which kind an error is that comes from libvirt or the ledger.
func classify(err error) provider.Error {
	if ended(err) {
		return provider.Error{Kind: provider.ErrUnknown, Err: err}
	}
	for _, k := range kinds {
		if errors.Is(err, k.virt) {
			return provider.Error{Kind: k.kind, Scope: k.scope, Err: errors.New(err.Error())}
		}
	}
	return ledgerlog.Classify(err)
}

// refused says that libvirt has answered, and done nothing.
func refused(err error) bool {
	e := classify(err)
	return e.Kind != provider.ErrUnknown && e.Kind != provider.ErrBusy
}

// also adds what went wrong while err was being cleared up. The kind is err's.
func also(err, more error) error {
	if more == nil {
		return err
	}
	e := classify(err)
	if said, ok := errors.AsType[*provider.Error](err); ok {
		e = *said
	}
	e.Err = fmt.Errorf("%w; then %s", cmp.Or(e.Err, err), more)
	return &e
}

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// busyFor says when it may be otherwise.
func busyFor(wait time.Duration, format string, args ...any) error {
	return &provider.Error{Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: wait, Err: fmt.Errorf(format, args...)}
}

func noDomain(kind error, instance nic.InstanceID) error {
	return &provider.Error{
		Kind: kind, Scope: provider.ScopeNode,
		Err: fmt.Errorf("no domain has the name or UUID %q; virsh list --all tells those there are", instance),
	}
}
