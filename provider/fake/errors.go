package fake

import (
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func isKind(err error) bool {
	switch err {
	case provider.ErrNotFound, provider.ErrExhausted, provider.ErrThrottled, provider.ErrBusy, provider.ErrElsewhere,
		provider.ErrDenied, provider.ErrInvalid, provider.ErrUnsupported, provider.ErrUnknown:
		return true
	}
	return false
}

func notFound() error { return &provider.Error{Kind: provider.ErrNotFound} }

func unknown(cause error) error { return &provider.Error{Kind: provider.ErrUnknown, Err: cause} }

func invalid(format string, args ...any) error {
	return &provider.Error{Kind: provider.ErrInvalid, Err: fmt.Errorf(format, args...)}
}

func busy(format string, args ...any) error {
	return &provider.Error{Kind: provider.ErrBusy, Err: fmt.Errorf(format, args...)}
}

func elsewhere(instance nic.InstanceID) error {
	return &provider.Error{Kind: provider.ErrElsewhere, Err: errors.New("on " + string(instance))}
}

func exhausted(scope provider.Scope, format string, args ...any) error {
	return &provider.Error{Kind: provider.ErrExhausted, Scope: scope, Err: fmt.Errorf(format, args...)}
}
