package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/nicferry/nicferry/internal/api"
)

// CreateToken makes a token with which a node may join once. A node that the
// controller's config does not let in: refused. Repeated it is another token.
func (c *Client) CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	var out api.NewToken
	err := c.do(ctx, http.MethodPost, "/v1/tokens", req, &out)
	return out, err
}

// Tokens returns those that wait to be used, the oldest first, without their
// secrets.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	var out api.List[api.Token]
	err := c.get(ctx, "/v1/tokens", &out)
	return out.Items, err
}

// DeleteToken takes a token back. One that is not there, used ones among them:
// not found. The token's text does as well as its id, and stays here.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	if api.LooksLikeToken(id) {
		content, err := api.ParseToken(api.Secret(id))
		if err != nil {
			return fmt.Errorf("delete token: %w", err)
		}
		id = content.ID
	}
	return c.do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil)
}

// CreateCertificate makes a person's certificate for the key that the request's
// certificate signing request is signed with.
func (c *Client) CreateCertificate(ctx context.Context, req api.CertificateRequest) (api.Issued, error) {
	var out api.Issued
	err := c.do(ctx, http.MethodPost, "/v1/certificates", req, &out)
	return out, err
}
