package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

func (s *server) nicRoutes() {
	list := s.operation("list-nics", http.MethodGet, "/v1/nics", "List NICs by id")
	serve(s, list, func(ctx context.Context, in *pageInput) (api.List[api.NICView], error) {
		nics, err := s.Backend.NICs(ctx, nic.ID(in.After), in.Limit)
		return page(nics, in.Limit, func(n api.NICView) string { return string(n.ID) }), err
	})

	get := s.operation("get-nic", http.MethodGet, "/v1/nics/{id}", "Show a NIC")
	serve(s, get, func(ctx context.Context, in *idInput) (api.NICView, error) {
		id, err := nic.ParseID(in.ID)
		if err != nil {
			return api.NICView{}, notFound(err)
		}
		n, err := s.Backend.NIC(ctx, id)
		return sight(ctx, s, get.OperationID, "NIC "+string(id), n, err, n.Node)
	})
}
