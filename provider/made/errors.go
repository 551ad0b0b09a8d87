package made

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Failing returns the function that makes any error of an op of the provider a
// *provider.Error of one kind. A refusal of the ledger or the nodes keeps its
// kind. Anything else is ErrUnknown, because a record may have been written.
func (n *NICs) Failing(op string, id nic.ID) func(error) error {
	return func(err error) error {
		e := provider.Error{Kind: refusal(err), Err: opaque(err)}
		if said, ok := errors.AsType[*provider.Error](err); ok {
			e = *said
		}
		if e.Scope == "" {
			e.Scope = provider.ScopeNIC
		}
		e.Provider, e.Op, e.ID = n.opts.Name, op, id
		return &e
	}
}

func refusal(err error) error {
	for _, kind := range []error{provider.ErrThrottled, provider.ErrDenied, provider.ErrBusy} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return provider.ErrUnknown
}

// opaque keeps an error's text and, of its chain, only the context's end. A
// record that the ledger misses does not mean that the NIC is not found.
func opaque(err error) error {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return err
		}
	}
	return errors.New(err.Error())
}
