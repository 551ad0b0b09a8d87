//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// wire is the segment's own end of the veth pair.
const wire = "wire0"

// SegmentOptions say what LAN to make. The zero value is the lab's usual one.
type SegmentOptions struct {
	// Name is that of its network namespace in the node. Optional: "lan".
	Name string
	// Uplink is the interface that the node gets. Optional: "uplink0".
	Uplink string
	// Addrs are the router's addresses with their prefixes. Optional:
	// 10.77.0.1/24, 10.77.1.1/24 and fd77::1/64.
	Addrs []netip.Prefix
	// DHCP is the range given out by DHCP, in one of the prefixes. Optional:
	// 10.77.0.100 to 10.77.0.199.
	DHCP nic.Range
}

func (o SegmentOptions) withDefaults() SegmentOptions {
	if o.Name == "" {
		o.Name = "lan"
	}
	if o.Uplink == "" {
		o.Uplink = "uplink0"
	}
	if len(o.Addrs) == 0 {
		for _, s := range []string{"10.77.0.1/24", "10.77.1.1/24", "fd77::1/64"} {
			o.Addrs = append(o.Addrs, netip.MustParsePrefix(s))
		}
	}
	if !o.DHCP.First.IsValid() {
		o.DHCP = nic.Range{First: netip.MustParseAddr("10.77.0.100"), Last: netip.MustParseAddr("10.77.0.199")}
	}
	return o
}

// A Segment is a LAN outside the containers: a namespace inside the node with
// a router's addresses and a real dnsmasq, wired to an interface of the node.
type Segment struct {
	node *Node
	opts SegmentOptions
	dhcp *Process
	// options are what the DHCP server gives beside its usual ones.
	options []string
}

// Segment makes a LAN. The node's end of the wire is up and has no address of
// any kind, as a bridge's port should be.
func (n *Node) Segment(ctx context.Context, opts SegmentOptions) (*Segment, error) {
	s := &Segment{node: n, opts: opts.withDefaults()}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make segment %s: %w", s.opts.Name, err), s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Segment) start(ctx context.Context) error {
	if err := errors.Join(nic.CheckName("segment", s.opts.Name), nic.CheckInterfaceName(s.opts.Uplink)); err != nil {
		return err
	}
	name, uplink := s.opts.Name, s.opts.Uplink
	steps := [][]string{
		{"ip", "netns", "add", name},
		// Addresses are usable at once: nobody else is there to own them.
		{"ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"},
		{"ip", "link", "add", uplink, "address", strangersMAC(), "type", "veth", "peer", "name", wire, "address", strangersMAC(), "netns", name},
		{"ip", "-n", name, "link", "set", "lo", "up"},
		{"ip", "-n", name, "link", "set", wire, "up"},
		// The kernel would give it IPv6 routes, and late.
		{"sysctl", "-qw", "net/ipv6/conf/" + uplink + "/disable_ipv6=1"},
		{"ip", "link", "set", uplink, "up"},
	}
	for _, addr := range s.opts.Addrs {
		steps = append(steps, []string{"ip", "-n", name, "addr", "add", addr.String(), "dev", wire})
	}
	for _, step := range steps {
		if _, err := s.node.Run(ctx, step[0], step[1:]...); err != nil {
			return err
		}
	}
	return s.StartDHCP(ctx)
}

// Uplink is the name of the node's end of the wire.
func (s *Segment) Uplink() string { return s.opts.Uplink }

// NetNS is a path that names the segment's network namespace on the machine
// while the node lives.
func (s *Segment) NetNS() string {
	return filepath.Join(s.node.Root(), "run", "netns", s.opts.Name)
}

// Gateway is the router's first IPv4 address.
func (s *Segment) Gateway() netip.Addr {
	for _, p := range s.opts.Addrs {
		if p.Addr().Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// Command prepares a program to run on the segment.
func (s *Segment) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return s.node.Command(ctx, "ip", s.exec(name, args)...)
}

// Run runs a program on the segment and returns what it prints.
func (s *Segment) Run(ctx context.Context, name string, args ...string) (string, error) {
	return output(s.Command(ctx, name, args...), name, args)
}

func (s *Segment) exec(name string, args []string) []string {
	return append([]string{"netns", "exec", s.opts.Name, name}, args...)
}

// Close removes the LAN, its DHCP server and the node's end of the wire. It
// may be called twice, and after the node was closed.
func (s *Segment) Close(ctx context.Context) error {
	select {
	case <-s.node.holder.exited:
		return nil // all went with the node
	default:
	}
	err := s.StopDHCP(ctx)
	for _, step := range [][]string{
		{"link", "delete", s.opts.Uplink},
		{"netns", "delete", s.opts.Name},
	} {
		if _, stepErr := s.node.Run(ctx, "ip", step...); stepErr != nil && !isGone(stepErr) {
			err = errors.Join(err, stepErr)
		}
	}
	if err != nil {
		return fmt.Errorf("remove segment %s: %w", s.opts.Name, err)
	}
	return nil
}

// isGone knows what iproute2 says of a link or a namespace that is not there.
// It has no exit status of its own for that.
func isGone(err error) bool {
	return strings.Contains(err.Error(), "Cannot find device") || strings.Contains(err.Error(), "No such file or directory")
}
