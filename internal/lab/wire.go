//go:build linux

package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"

	"github.com/nicferry/nicferry/nic"
)

// An End is one end of a wire.
type End struct {
	Node *Node
	// Link is the interface's name there. Required, and new to the node.
	Link string
	// Addr is its address. Optional.
	Addr netip.Prefix
	// MAC is one that is nobody's. Optional: another each time.
	MAC nic.MAC
	// NoIPv6 keeps the kernel from speaking IPv6 there. Optional.
	NoIPv6 bool
}

func (e End) mac() string {
	if e.MAC == (nic.MAC{}) {
		return strangersMAC()
	}
	return e.MAC.String()
}

// strangersMAC is one that nobody can take for a NIC's of ours. The kernel's own,
// which are random, begin like those once in 16,384 times.
func strangersMAC() string {
	n := rand.Uint32()
	return fmt.Sprintf("02:1a:b0:%02x:%02x:%02x", byte(n), byte(n>>8), byte(n>>16))
}

// Wire joins two nodes by a cable, which is up. It goes with either node.
func Wire(ctx context.Context, a, b End) error {
	for _, end := range []End{a, b} {
		if err := nic.CheckInterfaceName(end.Link); err != nil {
			return fmt.Errorf("wire nodes: %w", err)
		}
	}
	// Process ids are the machine's, so its /proc must be seen: only the network
	// is the node's.
	args := []string{
		"--net=" + a.Node.NetNS(), "ip", "link", "add", a.Link, "address", a.mac(), "type", "veth",
		"peer", "name", b.Link, "address", b.mac(), "netns", strconv.Itoa(b.Node.holder.pid),
	}
	if _, err := output(outside(ctx, "nsenter", args...), "nsenter", args); err != nil {
		return fmt.Errorf("wire nodes: %w", err)
	}
	for _, end := range []End{a, b} {
		if end.Addr.IsValid() {
			if _, err := end.Node.Run(ctx, "ip", "addr", "add", end.Addr.String(), "dev", end.Link, "nodad"); err != nil {
				return fmt.Errorf("wire nodes: %w", err)
			}
		}
		if end.NoIPv6 {
			if _, err := end.Node.Run(ctx, "sysctl", "-qw", "net/ipv6/conf/"+end.Link+"/disable_ipv6=1"); err != nil {
				return fmt.Errorf("wire nodes: %w", err)
			}
		}
		if _, err := end.Node.Run(ctx, "ip", "link", "set", end.Link, "up"); err != nil {
			return fmt.Errorf("wire nodes: %w", err)
		}
	}
	return nil
}
