package client

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
)

// ForgetNode gives up a node that is gone for good, or only says what that would
// give up. A node that reports: refused. No such node: not found.
func (c *Client) ForgetNode(ctx context.Context, node string, dryRun bool) (api.Forgotten, error) {
	var out api.Forgotten
	err := c.do(ctx, http.MethodPost, nodePath(node)+"/forget", api.ForgetRequest{DryRun: dryRun}, &out)
	return out, err
}

// RevokeNode takes a node's trust away, or only says what would become of what is
// reserved for it. No such node: not found.
func (c *Client) RevokeNode(ctx context.Context, node string, seize, dryRun bool) (api.Revoked, error) {
	var out api.Revoked
	err := c.do(ctx, http.MethodPost, nodePath(node)+"/revoke", api.RevokeRequest{Seize: seize, DryRun: dryRun}, &out)
	return out, err
}

// RemoveNode ends a node without claims. One that has some: refused. No such node:
// not found.
func (c *Client) RemoveNode(ctx context.Context, node string, dryRun bool) (api.Forgotten, error) {
	var out api.Forgotten
	err := c.do(ctx, http.MethodPost, nodePath(node)+"/remove", api.ForgetRequest{DryRun: dryRun}, &out)
	return out, err
}
