//go:build linux

package plug

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

var trunkMAC, memberMAC = cloudsim.MAC{0x02, 0x1a, 0, 0, 0, 7}, cloudsim.MAC{0x02, 0x1a, 0, 0, 0, 8}

func at(ns *netns.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()) }

// network is a switch with a bridge that has an address.
func network(t *testing.T) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	netnstest.Run(t, ns, "ip", "link", "add", "vpc0", "type", "bridge")
	netnstest.Run(t, ns, "ip", "addr", "add", "10.80.0.1/18", "dev", "vpc0")
	netnstest.Run(t, ns, "ip", "link", "set", "vpc0", "up")
	return ns
}

// member makes in a machine what a guest makes of a member: what has the tag on the
// trunk's card is a card of a container, with the member's MAC. This kernel may have no
// VLANs of its own, so it is tied as at the switch.
func member(t *testing.T, machine *netns.Namespace, trunk string, vlan int) *netns.Namespace {
	t.Helper()
	container := netnstest.New(t)
	netnstest.Run(t, machine, "ip", "link", "set", trunk, "up")
	netnstest.Run(t, machine, "ip", "link", "add", "eth0", "address", memberMAC.String(), "netns", at(container), "type", "veth", "peer", "name", "inner")
	netnstest.Run(t, machine, "ip", "link", "set", "inner", "up")
	netnstest.Run(t, container, "ip", "addr", "add", "10.80.0.9/18", "dev", "eth0")
	netnstest.Run(t, container, "ip", "link", "set", "eth0", "up")
	err := inside(at(machine), func(h *link.Handle) error {
		card, err := h.ByName(trunk)
		if err != nil {
			return err
		}
		end, err := h.ByName("inner")
		if err != nil {
			return err
		}
		return h.Tie(card, end, vlan)
	})
	if err != nil {
		t.Fatal(err)
	}
	return container
}

// left are the members' cables of a switch.
func left(t *testing.T, ns *netns.Namespace) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(netnstest.Run(t, ns, "ip", "-o", "link", "show")) {
		if strings.Contains(line, tagged(memberMAC)) || strings.Contains(line, plain(memberMAC)) {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}

// A member is in the network by its VLAN on the trunk's card, with the trunk itself beside
// it, until it leaves; and goes with the trunk's card.
func TestNamespacesHaveTrunks(t *testing.T) {
	t.Parallel()
	hub, machine := network(t), netnstest.New(t)
	n := NewNamespaces(NamespaceOptions{Switch: at(hub), Bridge: "vpc0", MTU: 1500})
	n.Machine("i-1", at(machine))
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	if err := n.Join(ctx, "i-1", trunkMAC, 5, memberMAC); err == nil {
		t.Error("a member is on a trunk that is not there")
	}
	do(n.Plug(ctx, "i-1", trunkMAC))
	do(n.Join(ctx, "i-1", trunkMAC, 5, memberMAC))
	container := member(t, machine, card(trunkMAC), 5)
	netnstest.Run(t, container, "ping", "-c", "1", "-W", "5", "10.80.0.1")
	netnstest.Run(t, machine, "ip", "addr", "add", "10.80.0.8/18", "dev", card(trunkMAC))
	netnstest.Run(t, machine, "ping", "-c", "1", "-W", "5", "10.80.0.1")
	netnstest.Run(t, machine, "ping", "-c", "1", "-W", "5", "10.80.0.9") // from the trunk to its member, over the switch
	do(n.Leave(ctx, "i-1", trunkMAC, 5, memberMAC))
	do(n.Leave(ctx, "i-1", trunkMAC, 5, memberMAC))
	if out := left(t, hub); out != "" {
		t.Errorf("left in the switch: %s", out)
	}
	do(n.Join(ctx, "i-1", trunkMAC, 6, memberMAC))
	do(n.Unplug(ctx, "i-1", trunkMAC))
	do(n.Leave(ctx, "i-1", trunkMAC, 6, memberMAC))
	if out := left(t, hub); out != "" {
		t.Errorf("after the trunk's card there is: %s", out)
	}
}

// The switch's side of a virtual machine's trunk is the same, at the card's tap; here a
// veth stands for that.
func TestLibvirtsSwitchHasTrunks(t *testing.T) {
	t.Parallel()
	hub, machine := network(t), netnstest.New(t)
	netnstest.Run(t, hub, "ip", "link", "add", "vnet3", "master", "vpc0", "type", "veth", "peer", "name", "guest0", "netns", at(machine))
	netnstest.Run(t, hub, "ip", "link", "set", "vnet3", "up")
	h := &host{events: make(chan virt.Event)}
	l := NewLibvirt(LibvirtOptions{
		Hypervisor: h, Domains: map[string]string{"i-1": "vm1"}, Namespace: at(hub),
		Switch: nic.Port{Kind: nic.PortBridge, Name: "vpc0", Model: nic.ModelVirtio},
	})
	defer l.Close()
	ctx := t.Context()
	if err := l.Join(ctx, "i-1", trunkMAC, 5, memberMAC); !errors.Is(err, errNoTrunkCard) {
		t.Errorf("without the trunk's card: %v", err)
	}
	h.has = []virt.Interface{{Alias: AliasPrefix + strings.ReplaceAll(trunkMAC.String(), ":", ""), Target: "vnet3"}}
	if err := l.Join(ctx, "i-1", trunkMAC, 5, memberMAC); err != nil {
		t.Fatal(err)
	}
	container := member(t, machine, "guest0", 5)
	netnstest.Run(t, container, "ping", "-c", "1", "-W", "5", "10.80.0.1")
	if err := l.Leave(ctx, "i-1", trunkMAC, 5, memberMAC); err != nil || left(t, hub) != "" {
		t.Errorf("left: %v, %s", err, left(t, hub))
	}
	if err := l.Join(ctx, "i-1", trunkMAC, 6, memberMAC); err != nil {
		t.Fatal(err)
	}
	h.has = nil // the machine is off, and the cloud was killed
	if err := l.Clear(ctx); err != nil || left(t, hub) != "" {
		t.Errorf("cleared: %v, %s", err, left(t, hub))
	}
	if err := l.Leave(ctx, "i-1", trunkMAC, 6, memberMAC); err != nil {
		t.Errorf("to leave once more: %v", err)
	}
}
