package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

type forgetInput struct {
	Name string `path:"name"`
	Body api.ForgetRequest
}

type revokeInput struct {
	Name string `path:"name"`
	Body api.RevokeRequest
}

// farewellRoutes end nodes, or the trust in them, by order of an operator.
func (s *server) farewellRoutes() {
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
