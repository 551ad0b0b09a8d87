package client

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

// Join shows a token and gets the certificate of the token's node for the key
// that the certificate signing request is signed with, PEM text. It is for a
// client with a Fingerprint. Until the token expires the same key may ask again.
// A token that is not good: refused.
func (c *Client) Join(ctx context.Context, token api.Secret, csr string) (api.Issued, error) {
	var out api.Issued
	err := c.do(ctx, http.MethodPost, "/v1/join", api.JoinRequest{Token: token, CSR: csr}, &out)
	return out, err
}

// Renew gets the node's next certificate, for the key that the certificate
// signing request is signed with, PEM text. The caller shows the node's last
// one, which may have expired not long ago. A revoked node: refused.
func (c *Client) Renew(ctx context.Context, node, csr string) (api.Issued, error) {
	var out api.Issued
	err := c.do(ctx, http.MethodPost, nodePath(node)+"/renew", api.CSRRequest{CSR: csr}, &out)
	return out, err
}
