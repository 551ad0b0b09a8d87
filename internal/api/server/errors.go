package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A Kind says which code an error gets, by errors.Is.
type Kind struct {
	Err  error
	Code api.Code
}

// contractKinds are those of the contracts below the backend.
func contractKinds() []Kind {
	return []Kind{
		{store.ErrNotFound, api.CodeNotFound},
		{store.ErrConflict, api.CodeUnavailable},
		{store.ErrClosed, api.CodeUnavailable},
		{store.ErrUnavailable, api.CodeUnavailable},
		{provider.ErrInvalid, api.CodeInvalid},
		{provider.ErrUnsupported, api.CodeInvalid},
		{provider.ErrDenied, api.CodeRefused},
		{provider.ErrNotFound, api.CodeNotFound},
		{provider.ErrExhausted, api.CodeUnavailable},
		{provider.ErrThrottled, api.CodeUnavailable},
		{provider.ErrBusy, api.CodeUnavailable},
		{provider.ErrElsewhere, api.CodeUnavailable},
		{provider.ErrUnknown, api.CodeUnavailable},
		{context.Canceled, api.CodeUnavailable},
		{context.DeadlineExceeded, api.CodeUnavailable},
	}
}

// wire gives an error of the backend its form on the wire. An error of no
// known kind is ours: its text goes to the log and not to the caller.
func (s *server) wire(ctx context.Context, op huma.Operation, err error) *api.Error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return new(*e)
	}
	if faults := nic.AsFaults(err); len(faults) > 0 {
		return invalid(faults)
	}
	if against := nic.AsMoveRefusals(err); len(against) > 0 {
		return refused(against)
	}
	e := &api.Error{Code: s.codeOf(err), Message: err.Error()}
	if p, ok := errors.AsType[*provider.Error](err); ok {
		e.ProviderRequestID = p.RequestID
	}
	if e.Code == api.CodeInternal {
		s.Log.ErrorContext(ctx, "request failed", slog.String("operation", op.OperationID), slog.Any("err", err))
		e.Message = "the controller failed at " + op.OperationID + "; its log has the cause"
	}
	return e
}

func (s *server) codeOf(err error) api.Code {
	for _, kinds := range [][]Kind{s.Kinds, contractKinds()} {
		for _, k := range kinds {
			if errors.Is(err, k.Err) {
				return k.Code
			}
		}
	}
	return api.CodeInternal
}

// invalid is the error for the faults of a request, of which there is one.
func invalid(faults nic.Faults) *api.Error {
	return &api.Error{
		Code:    api.CodeInvalid,
		Message: strings.ReplaceAll(faults.Error(), "\n", "; "),
		Field:   faults[0].Field,
		Faults:  faults,
	}
}

// refused is the error for a move that may not begin, with all reasons.
func refused(against nic.MoveRefusals) *api.Error {
	return &api.Error{
		Code:     api.CodeRefused,
		Message:  "not moved, and nothing is changed: " + strings.ReplaceAll(against.Error(), "\n", "; "),
		Refusals: against,
	}
}

// notFound is the error for a name that cannot be anybody's.
func notFound(err error) *api.Error {
	return &api.Error{Code: api.CodeNotFound, Message: err.Error()}
}

// reply is an error on its way through huma, which asks it for status and
// headers.
type reply struct {
	wire   *api.Error
	status int // 0 is that of the code
}

func (r reply) Error() string  { return r.wire.Message }
func (r reply) GetStatus() int { return cmp.Or(r.status, r.wire.Code.Status()) }

func (r reply) GetHeaders() http.Header {
	if r.wire.Code == api.CodeUnavailable {
		return http.Header{"Retry-After": {"1"}}
	}
	return nil
}

// toWire is the last step before encoding: whatever error it is, ours or
// huma's own, it leaves in our one shape.
func toWire(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case reply:
		return e.wire, nil
	case *huma.ErrorModel:
		ctx.SetHeader("Content-Type", "application/json") // not huma's problem+json
		return fromHuma(e), nil
	}
	return v, nil
}

// fromHuma turns what huma found wrong with a request into our shape. Which
// of several unknown fields comes first is chance there, so we sort.
func fromHuma(m *huma.ErrorModel) *api.Error {
	faults := make(nic.Faults, 0, len(m.Errors))
	for _, d := range m.Errors {
		faults.Add(d.Location, "%s", d.Message)
	}
	slices.SortStableFunc(faults, func(a, b nic.Fault) int { return cmp.Compare(a.Field, b.Field) })
	code := codeOfStatus(m.Status)
	if len(faults) > 0 && code == api.CodeInvalid {
		return invalid(faults)
	}
	return &api.Error{Code: code, Message: m.Detail}
}

func codeOfStatus(status int) api.Code {
	switch {
	case status == http.StatusNotFound:
		return api.CodeNotFound
	case status == http.StatusServiceUnavailable:
		return api.CodeUnavailable
	case status >= http.StatusInternalServerError:
		return api.CodeInternal
	}
	return api.CodeInvalid
}
