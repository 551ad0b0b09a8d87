package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

func networkKind() kind {
	return kind{
		name: "networks", aliases: []string{"network"},
		columns: []string{"NETWORK", "PROVIDER", "ADDRESSING", "SUBNETS", "DEVICE", "HELD", "FREE"},
		wide:    []string{"SPACE", "ON", "MTU", "HOLD"},
		list: func(ctx context.Context, c *client.Client) ([]thing, error) {
			networks, err := c.Networks(ctx)
			return things(networks, newNetwork), err
		},
		find: func(ctx context.Context, c *client.Client, name string) ([]thing, bool, error) {
			view, err := c.Network(ctx, name)
			return []thing{newNetwork(view)}, true, err
		},
	}
}

// network is a network to be shown.
type network struct{ api.NetworkView }

func newNetwork(v api.NetworkView) network { return network{v} }

func (n network) key() string { return n.Name }
func (n network) object() any { return n.NetworkView }

func (n network) free() string {
	if n.Free == nil {
		return ""
	}
	return strconv.Itoa(*n.Free)
}

// mtu is empty where the kernel's is left.
func (n network) mtu() string {
	if n.MTU == 0 {
		return ""
	}
	return strconv.Itoa(n.MTU)
}

// tenants are those whose containers may ask for it.
func (n network) tenants() string {
	if len(n.Tenants) == 0 {
		return nic.DefaultTenant
	}
	return strings.Join(n.Tenants, ", ")
}

func (n network) cells(time.Time) []string {
	var prefixes []string
	for _, s := range n.Subnets {
		prefixes = append(prefixes, s.Prefix.String())
	}
	return []string{
		n.Name, n.Provider, string(n.Addressing), strings.Join(prefixes, ","), madeAs(n.Network),
		strconv.Itoa(n.Held), n.free(),
		n.Space, n.Device.Bridge.Name + n.Device.Parent, n.mtu(), n.Hold.String(),
	}
}

func (n network) describe(s *sheet) {
	s.field("Network", n.Name)
	s.field("Provider", n.Provider)
	s.field("Addressing", string(n.Addressing))
	s.field("Space", n.Space)
	s.field("Tenants", n.tenants())
	s.field("MTU", n.mtu())
	s.field("Hold", n.Hold.String())
	s.field("Preplug", n.Preplug.String())
	s.field("Cooldown", n.Cooldown.String())
	s.field("Keep", n.Keep.String())
	s.field("Held", strconv.Itoa(n.Held))
	s.field("Free", n.free())
	for _, subnet := range n.Subnets {
		describeSubnet(s, subnet)
	}
	if len(n.Routes) > 0 {
		s.section("Routes")
	}
	for _, r := range n.Routes {
		s.field(r.To.String(), "via "+r.Via.String())
	}
	s.cloud(n.Cloud)
	s.functions(n.Functions)
	s.device(n.Device)
}

func describeSubnet(s *sheet, subnet nic.Subnet) {
	s.section("Subnet " + subnet.Prefix.String())
	if subnet.Gateway.IsValid() {
		s.field("Gateway", subnet.Gateway.String())
	}
	s.field("Ranges", join(subnet.Ranges))
	s.field("Excluded", join(subnet.Exclude))
}
