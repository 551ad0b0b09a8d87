package client

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

// Audit compares what the store, the providers and the nodes say. With fix it
// begins to mend what can be. It takes some seconds where a node or a provider
// does not answer.
func (c *Client) Audit(ctx context.Context, fix bool) (api.Audit, error) {
	var out api.Audit
	err := c.do(ctx, http.MethodPost, "/v1/audit", api.AuditRequest{Fix: fix}, &out)
	return out, err
}
