package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

type auditInput struct{ Body api.AuditRequest }

func (s *server) auditRoute() {
	op := s.operation("audit", http.MethodPost, "/v1/audit", "Compare what the store, the providers and the nodes say, and mend what differs if asked")
	serve(s, op, func(ctx context.Context, in *auditInput) (api.Audit, error) {
		if in.Body.Fix {
			if err := s.mustBeAdmin(ctx, op.OperationID); err != nil {
				return api.Audit{}, err
			}
		}
		return s.Backend.Audit(ctx, in.Body.Fix)
	})
}
