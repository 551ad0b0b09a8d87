package main

import (
	"context"
	"strconv"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

func nicKind() kind {
	return kind{
		name: "nics", aliases: []string{"nic"},
		columns: []string{"NIC", "NETWORK", "NODE", "PHASE", "STATE", "MAC", "HOLDER", "AGE"},
		wide:    []string{"PROVIDER", "DEVICE", "PROVIDER-ID", "ON-NODE", "REASON"},
		list: func(ctx context.Context, c *client.Client) ([]thing, error) {
			nics, err := c.NICs(ctx)
			return things(nics, newCard), err
		},
		find: func(ctx context.Context, c *client.Client, name string) ([]thing, bool, error) {
			view, err := c.NIC(ctx, nic.ID(name))
			return []thing{newCard(view)}, true, err
		},
	}
}

// card is a NIC to be shown.
type card struct{ api.NICView }

func newCard(v api.NICView) card { return card{v} }

func (c card) key() string { return string(c.ID) }
func (c card) object() any { return c.NICView }

func (c card) mac() nic.MAC {
	if !c.Seen.MAC.IsZero() {
		return c.Seen.MAC
	}
	return c.Spec.MAC
}

// device is the recipe in use, or the planned one.
func (c card) device() nic.Device {
	if c.Seen.Device.Kind != "" {
		return c.Seen.Device
	}
	return c.Spec.Device
}

func (c card) cells(now time.Time) []string {
	var observed nic.Observed
	if c.Observed != nil {
		observed = *c.Observed
	}
	condition := newest(c.Conditions, observed.Conditions)
	return []string{
		string(c.ID), c.Network, c.Node, with(string(c.Phase), string(condition.Reason)), string(c.Seen.State),
		c.mac().String(), string(c.Holder), age(now, c.Created),
		c.Provider, string(c.device().Kind), c.Seen.ProviderID, string(observed.State), condition.Message,
	}
}

func (c card) describe(s *sheet) {
	s.field("NIC", string(c.ID))
	s.field("Network", c.Network)
	s.field("Tenant", c.Tenant)
	s.field("Node", c.Node)
	s.field("Phase", s.since(string(c.Phase), c.Since))
	s.field("Holder", string(c.Holder))
	s.field("Seat on", string(c.Carrier))
	s.field("Place kept on", string(c.Next))
	if c.Carries {
		s.field("Seats", seatsText(c.NIC))
	}
	s.field("MAC", c.mac().String())
	if c.Clean {
		s.field("Clean", "yes")
	}
	s.time("Created", c.Created)
	s.section("Provider")
	s.field("Name", c.Provider)
	s.field("Instance", string(c.Instance))
	s.field("State", string(c.Seen.State))
	s.field("Id", c.Seen.ProviderID)
	s.field("Bus address", c.Seen.Bus)
	s.field("Addresses", join(c.Seen.Addrs))
	s.field("Reason", c.Seen.Reason)
	s.cloudSpec(c.Spec.Cloud)
	s.device(c.device())
	s.observed(c.Observed)
	s.conditions(c.Conditions)
}

// seatsText is how many containers share the NIC.
func seatsText(n nic.NIC) string {
	text := strconv.Itoa(n.Seats) + " taken"
	if n.Spec.Cloud.Secondary > 0 {
		text += " of " + strconv.Itoa(n.Spec.Cloud.Secondary)
	}
	if n.Closed {
		text += ", and no more are given"
	}
	return text
}
