package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

type auditInput struct{ Body api.AuditRequest }

type forgetInput struct {
	Name string `path:"name"`
	Body api.ForgetRequest
}

type revokeInput struct {
	Name string `path:"name"`
	Body api.RevokeRequest
}

// auditRoutes are for operators alone.
func (s *server) auditRoutes() {
	audit := s.operation("audit", http.MethodPost, "/v1/audit", "Compare what the store, the providers and the nodes say, and mend what differs if asked")
	serve(s, audit, func(ctx context.Context, in *auditInput) (api.Audit, error) {
		if in.Body.Fix {
			if err := s.mustBeAdmin(ctx, audit.OperationID); err != nil {
				return api.Audit{}, err
			}
		}
		return s.Backend.Audit(ctx, in.Body.Fix)
	})

	forget := s.operation("forget-node", http.MethodPost, "/v1/nodes/{name}/forget", "Give up a node that is gone for good, with all that is reserved for it")
	serve(s, forget, func(ctx context.Context, in *forgetInput) (api.Forgotten, error) {
		if err := checkName("node", in.Name); err != nil {
			return api.Forgotten{}, err
		}
		return s.Backend.ForgetNode(ctx, in.Name, in.Body.DryRun)
	})

	revoke := s.operation("revoke-node", http.MethodPost, "/v1/nodes/{name}/revoke", "Take a node's trust away; its containers keep their NICs, unless seize takes what providers can")
	serve(s, revoke, func(ctx context.Context, in *revokeInput) (api.Revoked, error) {
		if err := checkName("node", in.Name); err != nil {
			return api.Revoked{}, err
		}
		return s.Backend.RevokeNode(ctx, in.Name, in.Body.Seize, in.Body.DryRun)
	})

	remove := s.operation("remove-node", http.MethodPost, "/v1/nodes/{name}/remove", "End a node that has no claims, in good order")
	serve(s, remove, func(ctx context.Context, in *forgetInput) (api.Forgotten, error) {
		if err := checkName("node", in.Name); err != nil {
			return api.Forgotten{}, err
		}
		return s.Backend.RemoveNode(ctx, in.Name, in.Body.DryRun)
	})
}
