package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nicferry/nicferry/internal/store"
)

// failure is what an error of etcd's client is to the store's callers: etcd is away, or
// it has said no. ctx is the one that the call had.
func (s *Store) failure(ctx context.Context, err error) error {
	where := strings.Join(s.opts.Endpoints, ", ")
	switch {
	case s.ctx.Err() != nil:
		return store.ErrClosed
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rpctypes.ErrGRPCDeadlineExceeded) || ctx.Err() != nil:
		return fmt.Errorf("etcd at %s has not answered within %s: %w: %w", where, s.opts.Timeout, store.ErrUnavailable, err)
	case away(err):
		return fmt.Errorf("etcd at %s: %w: %w", where, store.ErrUnavailable, err)
	}
	return fmt.Errorf("etcd at %s: %w", where, err)
}

// away says whether an error leaves open what has become of a call: etcd may have
// carried it out, or may yet.
func away(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	var of rpctypes.EtcdError
	if errors.As(rpctypes.Error(err), &of) {
		return of.Code() == codes.Unavailable || of.Code() == codes.DeadlineExceeded || of.Code() == codes.Canceled
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unknown, codes.Internal, codes.Aborted:
		return true
	default:
		return false
	}
}

// tooLarge says whether etcd takes no request of that size: it says so itself, or, where
// much more was sent, what it hears with.
func tooLarge(err error) bool {
	var of rpctypes.EtcdError
	return errors.Is(err, rpctypes.ErrRequestTooLarge) || !errors.As(err, &of) && status.Code(err) == codes.ResourceExhausted
}
