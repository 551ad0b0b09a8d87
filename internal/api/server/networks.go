package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

// planInput is what is asked of a network's plan.
type planInput struct {
	Name string `path:"name" doc:"The network's name"`
	Type string `query:"type" doc:"A type of machine, such as m5.large; left out, the plan is of each node" maxLength:"64" pattern:"^[a-zA-Z0-9._-]*$"`
}

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

	plan := s.operation("plan-network", http.MethodGet, "/v1/networks/{name}/plan", "Say how many containers machines can hold on a network, and what a start costs")
	serve(s, plan, func(ctx context.Context, in *planInput) (api.NetworkPlan, error) {
		if err := checkName("network", in.Name); err != nil {
			return api.NetworkPlan{}, err
		}
		return s.Backend.PlanNetwork(ctx, in.Name, in.Type)
	})
}
