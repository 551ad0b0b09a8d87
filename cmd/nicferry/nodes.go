package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

func nodeKind() kind {
	return kind{
		name: "nodes", aliases: []string{"node"},
		columns: []string{"NODE", "PHASE", "SESSION", "KERNEL", "DOCKER", "AGENT", "LAST-SEEN"},
		wide:    []string{"BOOT", "INSTANCES", "REASON"},
		list: func(ctx context.Context, c *client.Client) ([]thing, error) {
			nodes, err := c.Nodes(ctx)
			return things(nodes, newNode), err
		},
		find: func(ctx context.Context, c *client.Client, name string) ([]thing, bool, error) {
			n, err := c.Node(ctx, name)
			return []thing{node{n}}, true, err
		},
		more: func(ctx context.Context, c *client.Client, found thing) thing {
			rooms, err := c.NodeRoom(ctx, found.key())
			return roomyNode{found, rooms, err}
		},
	}
}

// node is a node to be shown. Of a list it is without what is described alone.
type node struct{ api.NodeView }

func newNode(v api.NodeView) node { return node{v} }

func (n node) key() string { return n.Name }
func (n node) object() any { return n.NodeView }

func (n node) instances() string {
	var texts []string
	for _, provider := range slices.Sorted(maps.Keys(n.Instances)) {
		texts = append(texts, provider+"="+string(n.Instances[provider]))
	}
	return strings.Join(texts, ",")
}

// phase says of a node that is being emptied, or is empty, that it is.
func (n node) phase() string {
	if n.Drain == "" {
		return string(n.Phase)
	}
	if n.Drain == nic.DrainStopped { // which the node is not
		return string(n.Phase) + ",drain-stopped"
	}
	return string(n.Phase) + "," + string(n.Drain)
}

func (n node) cells(now time.Time) []string {
	condition := newest(n.Conditions)
	return []string{
		n.Name, with(n.phase(), string(condition.Reason)), strconv.FormatUint(n.Session, 10), n.Inventory.Kernel, n.Inventory.Docker,
		n.Inventory.AgentVersion, age(now, n.LastSeen),
		n.Inventory.Boot, n.instances(), condition.Message,
	}
}

func (n node) describe(s *sheet) {
	s.field("Node", n.Name)
	s.field("Phase", n.phase())
	s.field("Session", strconv.FormatUint(n.Session, 10))
	s.time("Last seen", n.LastSeen)
	s.field("Instances", n.instances())
	s.field("Tenants", strings.Join(n.Tenants, ","))
	if n.Join > 0 {
		s.field("Join", strconv.FormatUint(n.Join, 10))
	}
	s.time("Revoked", n.Revoked)
	s.time("Certificate ends", n.CertificateEnds)
	s.section("Inventory")
	s.field("Boot id", n.Inventory.Boot)
	s.field("Kernel", n.Inventory.Kernel)
	s.field("Docker", n.Inventory.Docker)
	s.field("Agent", n.Inventory.AgentVersion)
	s.section("Cards")
	for _, card := range n.Inventory.Cards {
		s.field(cmp.Or(card.Name, card.PCI), pfOf(card))
	}
	s.conditions(n.Conditions)
}

// freeVF is what a VF is used as that nobody has, in the node's words.
const freeVF = "free"

// pfOf says where a card is, and how many of its VFs there are to give.
func pfOf(c nic.Card) string {
	text := "PCI " + c.PCI
	if c.NUMA >= 0 {
		text += fmt.Sprintf(", NUMA %d", c.NUMA)
	}
	link := "no link"
	if c.Carrier {
		link = "link"
	}
	used := map[string]int{}
	for _, vf := range c.VFs {
		used[vf.Used]++
	}
	text += fmt.Sprintf(", %s; VFs: %d of %d free", link, used[freeVF], len(c.VFs))
	delete(used, freeVF)
	for _, how := range slices.Sorted(maps.Keys(used)) {
		text += fmt.Sprintf(", %d %s", used[how], how)
	}
	return text
}

// A roomyNode is a node that is described with what providers have room for on it.
type roomyNode struct {
	thing
	rooms []api.NodeRoom
	err   error // then it is shown without
}

func (n roomyNode) describe(s *sheet) {
	n.thing.describe(s)
	s.section("Room")
	if n.err != nil {
		s.field("Unknown", n.err.Error())
	}
	for _, r := range n.rooms {
		s.field(r.Provider, roomOf(r))
	}
}

// roomOf says for how many NICs there is room, and for how many containers that
// share them.
func roomOf(r api.NodeRoom) string {
	text := fmt.Sprintf("%d of %d %ss free", r.Free, r.NICs, r.Slot)
	if r.Problem != "" {
		text = r.Problem
	}
	if r.Seats != nil {
		text += fmt.Sprintf("; seats on shared NICs: %d taken, %d free, and %d on NICs that can be added", r.Seats.Taken, r.Seats.Free, r.Seats.More)
	}
	return text
}
