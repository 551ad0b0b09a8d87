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

// failing returns the function that makes any error of an op a
// *provider.Error of one kind. A refusal of the ledger keeps its kind. What is
// none of libvirt's and no refusal is ErrUnknown, because a record may have
// been written.
func (p *Provider) failing(op string, id nic.ID) func(error) error {
	return func(err error) error {
		e := classify(err)
		if said, ok := errors.AsType[*provider.Error](err); ok {
			e = *said
		}
		if e.Scope == "" {
			e.Scope = provider.ScopeNIC
		}
		e.Provider, e.Op, e.ID = p.opts.Name, op, id
		return &e
	}
}

func classify(err error) provider.Error {
	if ended(err) {
		return provider.Error{Kind: provider.ErrUnknown, Err: err}
	}
	for _, k := range kinds {
		if errors.Is(err, k.virt) {
			return provider.Error{Kind: k.kind, Scope: k.scope, Err: errors.New(err.Error())}
		}
	}
	for _, kind := range []error{provider.ErrThrottled, provider.ErrDenied, provider.ErrBusy} {
		if errors.Is(err, kind) {
			return provider.Error{Kind: kind, Err: errors.New(err.Error())}
		}
	}
	// A record that the ledger misses does not mean that the NIC is not found.
	return provider.Error{Kind: provider.ErrUnknown, Err: errors.New(err.Error())}
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
