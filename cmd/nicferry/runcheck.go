package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/mtls"
)

// check refuses a node, tenant or network that is none before an image is pulled for it. It
// reserves nothing, so what is refused later is told later.
func (r *runCommand) check(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	node, err := c.Node(ctx, r.node)
	if err != nil {
		return fmt.Errorf("--node: %w", err)
	}
	tenant, may := r.container.tenant, node.Tenants
	if tenant != "" && len(may) > 0 && !slices.Contains(may, tenant) {
		return &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("--tenant: node %s may run containers of %s alone, not of %s",
			oneLine(r.node), strings.Join(may, ", "), oneLine(tenant))}
	}
	if !r.sees() {
		return nil
	}
	network, err := c.Network(ctx, r.container.network)
	if err != nil {
		return fmt.Errorf("--on: %w", err)
	}
	if len(may) > 0 && !network.For(cmp.Or(tenant, may[0])) {
		return &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("--on: network %s is not for tenant %s",
			oneLine(r.container.network), oneLine(cmp.Or(tenant, may[0])))}
	}
	return nil
}

// sees says whether the caller may look at networks. A node's agent may not: each time that
// it asks is told as a refusal.
func (r *runCommand) sees() bool {
	if strings.HasPrefix(r.server, "unix://") {
		return true
	}
	text, err := os.ReadFile(r.files.Cert)
	all := mtls.Certificates(text)
	return err == nil && len(all) > 0 && mtls.PeerOf(all[0]).Sees()
}
