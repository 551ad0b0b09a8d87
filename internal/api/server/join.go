package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

// maxJoin bounds the bodies of those who may be anybody, in bytes.
const maxJoin = 32 << 10

// joinOperation is the one that anybody may call.
const joinOperation = "join"

type joinInput struct{ Body api.JoinRequest }

type renewInput struct {
	Name string `path:"name"`
	Body api.CSRRequest
}

// joinRoutes are how agents get their certificates.
func (s *server) joinRoutes() {
	join := s.operation(joinOperation, http.MethodPost, "/v1/join", "Get a node's first certificate for a token; the same key gets one again until the token expires")
	join.MaxBodyBytes = maxJoin
	serve(s, join, func(ctx context.Context, in *joinInput) (api.Issued, error) {
		issued, err := s.Trust.Join(ctx, in.Body)
		if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeRefused {
			return issued, s.refuseToken(ctx, err, e.Message)
		}
		return issued, err
	})

	renew := s.operation("renew", http.MethodPost, "/v1/nodes/{name}/renew", "Get a node's next certificate for its last one, which may have expired not long ago")
	renew.MaxBodyBytes = maxJoin
	serve(s, renew, func(ctx context.Context, in *renewInput) (api.Issued, error) {
		if err := checkName("node", in.Name); err != nil {
			return api.Issued{}, err
		}
		return s.Trust.Renew(ctx, peerOf(ctx), in.Body.CSR)
	})
}
