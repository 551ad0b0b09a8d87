package server

import (
	"context"
	"net/http"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// The bounds of a drain.
const (
	maxTargets  = 256
	maxParallel = 16
)

type drainInput struct {
	Name string `path:"name"`
	Body nic.DrainRequest
}

// drainRoutes empty nodes.
func (s *server) drainRoutes() {
	drain := s.operation("drain-node", http.MethodPost, "/v1/nodes/{name}/drain", "Begin to move all containers with NICs off a node, or go on with it")
	serveLong(s, drain, func(ctx context.Context, in *drainInput) (nic.Drain, error) {
		if err := checkName("node", in.Name); err != nil {
			return nic.Drain{}, err
		}
		if err := checkDrain(in.Name, in.Body); err != nil {
			return nic.Drain{}, err
		}
		return s.Mover.Drain(ctx, in.Name, in.Body)
	})

	undrain := s.operation("undrain-node", http.MethodPost, "/v1/nodes/{name}/undrain", "Begin no more moves off a node, and make it a target again; those under way go on")
	serve(s, undrain, func(ctx context.Context, in *nameInput) (nic.Drain, error) {
		if err := checkName("node", in.Name); err != nil {
			return nic.Drain{}, err
		}
		return s.Mover.Undrain(ctx, in.Name)
	})

	list := s.operation("list-drains", http.MethodGet, "/v1/drains", "List the nodes that are being emptied, or are empty and take nothing")
	serve(s, list, func(ctx context.Context, _ *none) (api.List[nic.Drain], error) {
		drains, err := s.Mover.Drains(ctx)
		return api.NewList(drains, ""), err
	})
}

func checkDrain(node string, r nic.DrainRequest) error {
	var faults nic.Faults
	if len(r.To) > maxTargets {
		faults.Add("body.to", "%d nodes, at most %d", len(r.To), maxTargets)
		return faults.Err()
	}
	for _, to := range r.To {
		faults.AddErr("body.to", nic.CheckName("node", to))
	}
	if slices.Contains(r.To, node) {
		faults.Add("body.to", "%s is the node that is to be emptied", node)
	}
	if r.MaxParallel < 0 || r.MaxParallel > maxParallel {
		faults.Add("body.maxParallel", "%d: want up to %d, or 0 for 2", r.MaxParallel, maxParallel)
	}
	checkMoveOptions(&faults, "body.options.", r.Options)
	return faults.Err()
}

// listedNodes are all nodes, with what is known of their drains.
func (s *server) listedNodes(ctx context.Context) ([]api.NodeView, error) {
	nodes, err := s.Backend.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	drains, err := s.Mover.Drains(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]api.NodeView, 0, len(nodes))
	for _, n := range nodes {
		views = append(views, api.NodeView{Node: n, Drain: drainOf(drains, n.Name)})
	}
	return views, nil
}

func drainOf(drains []nic.Drain, node string) nic.DrainPhase {
	at := slices.IndexFunc(drains, func(d nic.Drain) bool { return d.Node == node })
	if at < 0 {
		return ""
	}
	return drains[at].Phase
}
