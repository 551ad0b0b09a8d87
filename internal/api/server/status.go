package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// statusRoutes say who answers, and how it is.
func (s *server) statusRoutes() {
	version := s.operation("version", http.MethodGet, "/v1/version", "Say which program answers")
	serve(s, version, func(context.Context, *none) (api.Version, error) { return s.Version, nil })

	status := s.operation("status", http.MethodGet, "/v1/status", "Say what keeps the controller from its work, by name; no condition is well")
	serve(s, status, func(ctx context.Context, _ *none) (api.Status, error) {
		conditions := s.Backend.Status(ctx)
		if conditions == nil {
			conditions = []nic.Condition{}
		}
		return api.Status{Version: s.Version, Conditions: conditions}, nil
	})
}
