package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

func claimKind() kind {
	return kind{
		name: "claims", aliases: []string{"claim"},
		columns: []string{"CLAIM", "CONTAINER", "INTERFACE", "NETWORK", "NODE", "PHASE", "ADDRESS", "NIC", "AGE"},
		wide:    []string{"MAC", "PUBLIC", "EPOCH", "REASON"},
		list: func(ctx context.Context, c *client.Client) ([]thing, error) {
			claims, err := c.Claims(ctx)
			return things(claims, newClaim), err
		},
		find: findClaims,
	}
}

// findClaims takes a claim's id, or a container's name or id, which may have
// several claims.
func findClaims(ctx context.Context, c *client.Client, name string) ([]thing, bool, error) {
	if id, err := nic.ParseClaimID(name); err == nil {
		view, err := c.Claim(ctx, id)
		return []thing{newClaim(view)}, true, err
	}
	claims, err := c.Claims(ctx)
	if err != nil {
		return nil, false, err
	}
	var found []thing
	for _, view := range claims {
		if view.Container == name || isSandbox(view.Owner.Sandbox, name) {
			found = append(found, newClaim(view))
		}
	}
	if len(found) == 0 {
		return nil, false, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no claim %q, and no container of that name has one", name)}
	}
	return found, false, nil
}

// isSandbox says whether id is the container's whole id or, as docker ps
// prints it, the first 12 digits.
func isSandbox(sandbox, id string) bool {
	return sandbox != "" && (id == sandbox || len(id) == 12 && len(sandbox) > 12 && id == sandbox[:12])
}

// claim is a claim to be shown.
type claim struct{ api.ClaimView }

func newClaim(v api.ClaimView) claim { return claim{v} }

func (c claim) key() string { return string(c.ID) }
func (c claim) object() any { return c.ClaimView }

// observed is what the node last said, or nothing.
func (c claim) observed() nic.Observed {
	if c.Observed == nil {
		return nic.Observed{}
	}
	return *c.Observed
}

// addresses are those in use, or those reserved while none is.
func (c claim) addresses() string {
	if addrs := c.observed().Addrs; len(addrs) > 0 {
		return join(addrs)
	}
	return join(c.Identity.Addrs)
}

// public is the claim's public address, and what it is good for while there is no
// NIC.
func (c claim) public() string {
	addr := addrOrNone(c.Identity.Public)
	if addr != "" && c.NIC == "" {
		addr += " (leads nowhere while there is no NIC, and costs money all the same)"
	}
	return addr
}

func addrOrNone(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (c claim) mac() nic.MAC {
	if !c.Identity.MAC.IsZero() {
		return c.Identity.MAC
	}
	return c.observed().MAC
}

func (c claim) cells(now time.Time) []string {
	condition := newest(c.Conditions, c.observed().Conditions)
	return []string{
		string(c.ID), c.Container, c.Owner.Interface, c.Request.Network, c.Owner.Node,
		with(string(c.Phase), string(condition.Reason)), c.addresses(), string(c.NIC), age(now, c.Created),
		c.mac().String(), addrOrNone(c.Identity.Public), strconv.FormatUint(c.Epoch, 10), condition.Message,
	}
}

func (c claim) describe(s *sheet) {
	s.field("Claim", string(c.ID))
	s.field("Container", c.Container)
	s.field("Container id", c.Owner.Sandbox)
	s.field("Interface", c.Owner.Interface)
	s.field("Node", c.Owner.Node)
	s.field("Network", c.Request.Network)
	s.field("Tenant", c.Tenant)
	s.field("Phase", s.since(string(c.Phase), c.Since))
	s.field("Epoch", strconv.FormatUint(c.Epoch, 10))
	s.field("NIC", string(c.NIC))
	s.field("MAC", c.mac().String())
	s.field("Addresses", c.addresses())
	s.field("Public address", c.public())
	if c.Owner.Kind == nic.OwnerReservation {
		s.time("Reserved until", c.ReservedUntil)
	}
	if c.Request.Unstarted {
		s.field("Started", "never")
		s.time("Given back", c.StoppedAt)
	} else {
		s.time("Stopped", c.StoppedAt)
	}
	s.time("Created", c.Created)
	s.section("Request")
	s.field("Addresses", join(c.Request.Addrs))
	s.field("MAC", c.Request.MAC.String())
	if c.Request.DefaultRoute {
		s.field("Default route", "yes")
	}
	for _, fault := range c.Request.Faults {
		s.field("Fault", fault.Error())
	}
	s.observed(c.Observed)
	s.waterfall(c.Steps)
	s.section("NICs made in vain within the hour")
	for _, back := range c.Setbacks {
		s.field(string(back.Reason), fmt.Sprintf("%s (%s ago)", back.Message, age(s.now, back.At)))
	}
	s.conditions(c.Conditions)
}
