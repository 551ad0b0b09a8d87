package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

func (s *server) networkRoutes() {
	list := s.operation("list-networks", http.MethodGet, "/v1/networks", "List networks by name")
	serve(s, list, func(ctx context.Context, _ *none) (api.List[api.NetworkView], error) {
		networks, err := s.Backend.Networks(ctx)
		return api.NewList(networks, ""), err
	})

	get := s.operation("get-network", http.MethodGet, "/v1/networks/{name}", "Show a network")
	serve(s, get, func(ctx context.Context, in *nameInput) (api.NetworkView, error) {
		if err := checkName("network", in.Name); err != nil {
			return api.NetworkView{}, err
		}
		return s.Backend.Network(ctx, in.Name)
	})
}
