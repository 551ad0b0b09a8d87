package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

type tokenInput struct{ Body api.TokenRequest }

type certificateInput struct{ Body api.CertificateRequest }

// tokenRoutes are how operators let machines and people in.
func (s *server) tokenRoutes() {
	create := s.operation("create-token", http.MethodPost, "/v1/tokens", "Make a token with which a node may join once; only the answer has its secret")
	serve(s, create, func(ctx context.Context, in *tokenInput) (api.NewToken, error) {
		return s.Trust.CreateToken(ctx, in.Body)
	})

	list := s.operation("list-tokens", http.MethodGet, "/v1/tokens", "List the tokens that wait to be used, without their secrets")
	serve(s, list, func(ctx context.Context, _ *none) (api.List[api.Token], error) {
		tokens, err := s.Trust.Tokens(ctx)
		return api.NewList(tokens, ""), err
	})

	remove := s.operation("delete-token", http.MethodDelete, "/v1/tokens/{id}", "Take a token back that has not been used")
	serveEmpty(s, remove, func(ctx context.Context, in *idInput) error {
		if err := checkName("token", in.ID); err != nil {
			return err
		}
		return s.Trust.DeleteToken(ctx, in.ID)
	})

	certificate := s.operation("create-certificate", http.MethodPost, "/v1/certificates", "Make a person's certificate")
	serve(s, certificate, func(ctx context.Context, in *certificateInput) (api.Issued, error) {
		return s.Trust.IssueUser(ctx, in.Body)
	})
}
