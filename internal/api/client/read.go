package client

import (
	"context"
	"fmt"
	"net/url"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Claims returns all claims by id, however many pages that takes.
func (c *Client) Claims(ctx context.Context) ([]api.ClaimView, error) {
	return all[api.ClaimView](ctx, c, "/v1/claims")
}

// Claim returns one; no such claim: not found.
func (c *Client) Claim(ctx context.Context, id nic.ClaimID) (api.ClaimView, error) {
	return one[api.ClaimView](ctx, c, "/v1/claims/", string(id))
}

// NICs returns all NICs by id, however many pages that takes.
func (c *Client) NICs(ctx context.Context) ([]api.NICView, error) {
	return all[api.NICView](ctx, c, "/v1/nics")
}

// NIC returns one; no such NIC: not found.
func (c *Client) NIC(ctx context.Context, id nic.ID) (api.NICView, error) {
	return one[api.NICView](ctx, c, "/v1/nics/", string(id))
}

// Nodes returns all nodes by name.
func (c *Client) Nodes(ctx context.Context) ([]api.NodeView, error) {
	return all[api.NodeView](ctx, c, "/v1/nodes")
}

// Node returns one; no such node: not found.
func (c *Client) Node(ctx context.Context, name string) (api.NodeView, error) {
	return one[api.NodeView](ctx, c, "/v1/nodes/", name)
}

// Networks returns all networks by name.
func (c *Client) Networks(ctx context.Context) ([]api.NetworkView, error) {
	return all[api.NetworkView](ctx, c, "/v1/networks")
}

// Network returns one; no such network: not found.
func (c *Client) Network(ctx context.Context, name string) (api.NetworkView, error) {
	return one[api.NetworkView](ctx, c, "/v1/networks/", name)
}

// PlanNetwork says how many containers each node can hold on a network, or an
// instance of the type, if that is not empty.
func (c *Client) PlanNetwork(ctx context.Context, name, kind string) (api.NetworkPlan, error) {
	var plan api.NetworkPlan
	if err := nameable(name); err != nil {
		return plan, err
	}
	path := "/v1/networks/" + url.PathEscape(name) + "/plan"
	if kind != "" {
		path += "?" + url.Values{"type": {kind}}.Encode()
	}
	err := c.get(ctx, path, &plan)
	return plan, err
}

// NodeRoom says what each provider has room for on a node.
func (c *Client) NodeRoom(ctx context.Context, node string) ([]api.NodeRoom, error) {
	if err := nameable(node); err != nil {
		return nil, err
	}
	return all[api.NodeRoom](ctx, c, "/v1/nodes/"+url.PathEscape(node)+"/room")
}

// Version says which program answers.
func (c *Client) Version(ctx context.Context) (api.Version, error) {
	return one[api.Version](ctx, c, "/v1/", "version")
}

// nameable refuses a name that would make another path.
func nameable(name string) error {
	if name == "" || name == "." || name == ".." {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("nothing has the name %q", name)}
	}
	return nil
}

func one[T any](ctx context.Context, c *Client, path, name string) (T, error) {
	var out T
	if err := nameable(name); err != nil {
		return out, err
	}
	err := c.get(ctx, path+url.PathEscape(name), &out)
	return out, err
}

// all follows the pages; the result is never nil without an error.
func all[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	items := []T{}
	after := ""
	for {
		var page api.List[T]
		if err := c.get(ctx, path+"?after="+url.QueryEscape(after), &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.Next == "" || page.Next == after { // the same again would be for ever
			return items, nil
		}
		after = page.Next
	}
}

// Status says what keeps the controller from its work.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return one[api.Status](ctx, c, "/v1/", "status")
}
