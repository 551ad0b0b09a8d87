package ledgerlog

import (
	"context"
	"errors"

	"github.com/nicferry/nicferry/provider"
)

// Classify makes any error of an op that has used a ledger a provider.Error of one
// kind, with its text. A refusal keeps its kind. Anything else is ErrUnknown, because a
// record may have been written.
func Classify(err error) provider.Error {
	for _, kind := range []error{provider.ErrThrottled, provider.ErrDenied, provider.ErrBusy} {
		if errors.Is(err, kind) {
			return provider.Error{Kind: kind, Err: opaque(err)}
		}
	}
	return provider.Error{Kind: provider.ErrUnknown, Err: opaque(err)}
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
