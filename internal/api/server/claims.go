package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

type acquireInput struct{ Body api.AcquireRequest }

type releaseInput struct {
	ID   string `path:"id"`
	Body api.ReleaseRequest
}

type promoteInput struct {
	ID   string `path:"id"`
	Body api.PromoteRequest
}

func (s *server) claimRoutes() {
	acquire := s.operation("acquire", http.MethodPost, "/v1/claims", "Get the claim of a container interface; the same owner gets the same claim")
	serve(s, acquire, func(ctx context.Context, in *acquireInput) (nic.Claim, error) {
		var faults nic.Faults
		faults.AddErr("body.owner", in.Body.Owner.Validate())
		for _, f := range nic.AsFaults(in.Body.Request.Check()) {
			faults.Add("body.request."+f.Field, "%s", f.Problem)
		}
		if err := faults.Err(); err != nil {
			return nic.Claim{}, err
		}
		if err := s.mayActAs(ctx, acquire.OperationID, in.Body.Owner.Node); err != nil {
			return nic.Claim{}, err
		}
		return s.Backend.Acquire(ctx, in.Body.Owner, in.Body.Container, in.Body.Request)
	})

	op := s.operation("release", http.MethodPost, "/v1/claims/{id}/release", "Give a claim back; gone already is no error")
	serveEmpty(s, op, func(ctx context.Context, in *releaseInput) error {
		id, err := nic.ParseClaimID(in.ID)
		if err != nil {
			return nic.Faults{{Field: "path.id", Problem: err.Error()}}
		}
		if todo, err := s.mayRelease(ctx, id, in.Body.Epoch); err != nil || !todo {
			return err
		}
		if err := s.Backend.Release(ctx, id, in.Body.Epoch); err != nil {
			e := s.wire(ctx, op, err)
			e.Claim = id
			return e
		}
		return nil
	})

	promote := s.operation("promote", http.MethodPost, "/v1/claims/{id}/promote", "Have a claim that fell back get a VF")
	serve(s, promote, func(ctx context.Context, in *promoteInput) (api.Promotion, error) {
		id, err := nic.ParseClaimID(in.ID)
		if err != nil {
			return api.Promotion{}, notFound(err)
		}
		plan, err := s.Backend.Promote(ctx, id, in.Body.DryRun)
		if err != nil {
			e := s.wire(ctx, promote, err)
			e.Claim = id // so whoever promotes many knows that it is about this one alone
			return plan, e
		}
		return plan, nil
	})

	list := s.operation("list-claims", http.MethodGet, "/v1/claims", "List claims by id")
	serve(s, list, func(ctx context.Context, in *pageInput) (api.List[api.ClaimView], error) {
		claims, err := s.Backend.Claims(ctx, nic.ClaimID(in.After), in.Limit)
		return page(claims, in.Limit, func(c api.ClaimView) string { return string(c.ID) }), err
	})

	get := s.operation("get-claim", http.MethodGet, "/v1/claims/{id}", "Show a claim")
	serve(s, get, func(ctx context.Context, in *idInput) (api.ClaimView, error) {
		id, err := nic.ParseClaimID(in.ID)
		if err != nil {
			return api.ClaimView{}, notFound(err)
		}
		claim, err := s.Backend.Claim(ctx, id)
		return sight(ctx, s, get.OperationID, "claim "+string(id), claim, err, claim.Owner.Node)
	})
}

// page wraps items; a full page has a next one, which may turn out empty.
func page[T any](items []T, limit int, key func(T) string) api.List[T] {
	next := ""
	if len(items) >= limit {
		next = key(items[len(items)-1])
	}
	return api.NewList(items, next)
}

// checkName refuses a name that cannot be anybody's before it gets to be part
// of a key.
func checkName(what, name string) error {
	if err := nic.CheckName(what, name); err != nil {
		return notFound(errors.New("no such " + what + ": " + err.Error()))
	}
	return nil
}
