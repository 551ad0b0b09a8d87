package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Acquire returns the claim of owner, and makes it at the first call. It does
// not wait for the NIC: the claim's phase says how far it is.
func (c *Client) Acquire(ctx context.Context, owner nic.Owner, container string, request nic.Request) (nic.Claim, error) {
	var claim nic.Claim
	// Never by what is remembered: a controller that has been replaced by a newer
	// one would take a request without a field that it knows for another request.
	err := c.sendFrom(api.Level, func(level int64) error {
		in := api.AcquireRequest{Owner: owner, Container: container, Request: request}
		return c.do(ctx, http.MethodPost, "/v1/claims", forLevel(level, in), &claim)
	})
	return claim, err
}

// Release gives a claim back. Gone already: nil. An older epoch: conflict.
func (c *Client) Release(ctx context.Context, id nic.ClaimID, epoch uint64) error {
	return c.do(ctx, http.MethodPost, "/v1/claims/"+url.PathEscape(string(id))+"/release", api.ReleaseRequest{Epoch: epoch}, nil)
}

// Hello says that the node's agent has started. The node's session number is
// for the reports, and goes with all calls from then on; a repeated hello may
// yield a higher one.
func (c *Client) Hello(ctx context.Context, node string, inventory nic.Inventory) (nic.Node, error) {
	var out nic.Node
	err := c.sendFrom(api.Level, func(level int64) error {
		return c.do(ctx, http.MethodPut, nodePath(node)+"/hello", forLevel(level, inventory), &out)
	})
	if err == nil {
		c.session.Store(out.Session)
	}
	return out, err
}

// Report says what has changed on the node. A newer session than the report's
// exists: conflict.
func (c *Client) Report(ctx context.Context, node string, report nic.NodeReport) error {
	if report.NICs == nil {
		report.NICs = []nic.Observed{}
	}
	if report.Cards != nil && *report.Cards == nil {
		report.Cards = &[]nic.Card{}
	}
	return c.sendFrom(c.level.Load(), func(level int64) error {
		return c.do(ctx, http.MethodPost, nodePath(node)+"/report", forLevel(level, report), nil)
	})
}

// Wanted returns all that is wanted of the node, and the revision to watch
// from. A newer session than the given one exists: conflict; 0 only looks.
func (c *Client) Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error) {
	var out api.WantedList
	err := c.get(ctx, fmt.Sprintf("%s/wanted?session=%d", nodePath(node), session), &out)
	return out.Items, out.Revision, err
}

func nodePath(node string) string { return "/v1/nodes/" + url.PathEscape(node) }
