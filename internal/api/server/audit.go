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

// auditRoutes are for operators alone.
func (s *server) auditRoutes() {
	audit := s.operation("audit", http.MethodPost, "/v1/audit", "Compare what the store, the providers and the nodes say, and mend what differs if asked")
	serve(s, audit, func(ctx context.Context, in *auditInput) (api.Audit, error) {
		return s.Backend.Audit(ctx, in.Body.Fix)
	})

	forget := s.operation("forget-node", http.MethodPost, "/v1/nodes/{name}/forget", "Give up a node that is gone for good, with all that is reserved for it")
	serve(s, forget, func(ctx context.Context, in *forgetInput) (api.Forgotten, error) {
		if err := checkName("node", in.Name); err != nil {
			return api.Forgotten{}, err
		}
		return s.Backend.ForgetNode(ctx, in.Name, in.Body.DryRun)
	})
}
