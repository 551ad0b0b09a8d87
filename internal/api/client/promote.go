package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Promote has a claim that fell back get a VF, or only says how. No such claim: not
// found; one that has a VF, or for which none is free: refused.
func (c *Client) Promote(ctx context.Context, id nic.ClaimID, dryRun bool) (api.Promotion, error) {
	var out api.Promotion
	err := c.do(ctx, http.MethodPost, "/v1/claims/"+url.PathEscape(string(id))+"/promote", api.PromoteRequest{DryRun: dryRun}, &out)
	return out, err
}
