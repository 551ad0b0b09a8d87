//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
	"github.com/nicferry/nicferry/vmagent/dhcp"
	"github.com/nicferry/nicferry/vmagent/ferry"
)

// The LAN's addresses: .0 is the router's, .1 to .99 are given out by DHCP and
// the fixed ones are above. No address is needed twice in a run.
const (
	router = "10.77.0.1"
	bits   = 16
)

// A world is a node without Docker, with a LAN, and nicferry's parts on it as
// in an agent.
type world struct {
	node   *lab.Node
	host   *netns.Namespace
	links  *link.Handle // in host
	maker  *device.Maker
	ferry  *ferry.Ferry
	wires  *dhcp.Listener
	anchor made // keeps the bridge there
	before lab.Snapshot
	cni    *cni
	fixed  netip.Addr // given out last
}

// A made is a NIC on the node, in no container.
type made struct {
	id nic.ID
	d  nic.Device
}

// home is what the NIC is called while it is in no container.
func (m made) home() string { return m.id.LinkName("nt") }

func newWorld(ctx context.Context) (*world, error) {
	// What scripts leave running is ours to wait for, and not a stranger's.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the parent of orphans: %w", err)
	}
	w := &world{wires: dhcp.NewListener(), fixed: netip.MustParseAddr("10.77.100.0")}
	if err := w.open(ctx); err != nil {
		w.close()
		return nil, fmt.Errorf("make the world to measure in: %w", err)
	}
	return w, nil
}

func (w *world) open(ctx context.Context) (err error) {
	if w.node, err = lab.Start(ctx, lab.Options{NoEngine: true}); err != nil {
		return err
	}
	_, err = w.node.Segment(ctx, lab.SegmentOptions{
		Addrs: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("%s/%d", router, bits))},
		DHCP:  nic.Range{First: netip.MustParseAddr("10.77.1.0"), Last: netip.MustParseAddr("10.77.99.255")},
	})
	if err != nil {
		return err
	}
	if w.host, err = netns.Open(w.node.NetNS()); err != nil {
		return err
	}
	if w.links, err = link.Open(w.host); err != nil {
		return err
	}
	if w.maker, err = device.New(w.host); err != nil {
		return err
	}
	if w.ferry, err = ferry.New(w.host, w.maker); err != nil {
		return err
	}
	if w.anchor, err = w.make(ctx); err != nil {
		return err
	}
	// The bridge gets its last routes of the kernel's with its first traffic.
	if _, _, err = w.run(ctx, staticTools()[0], static); err != nil {
		return err
	}
	w.before, err = w.node.Snapshot(ctx)
	return err
}

// close takes the world away, also a half made one.
func (w *world) close() {
	if err := w.cni.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if w.ferry != nil {
		w.ferry.Close()
	}
	if w.maker != nil {
		w.maker.Close()
	}
	if w.links != nil {
		w.links.Close()
	}
	if w.host != nil {
		w.host.Close()
	}
	if w.node != nil {
		if err := w.node.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
}

// make makes a NIC as a network of kind veth has them.
func (w *world) make(ctx context.Context) (made, error) {
	m := made{nic.NewID(), nic.Device{
		Kind: nic.Veth, MAC: nic.NewMAC(),
		Bridge: nic.Bridge{Name: "nf-bench", Owned: true, Uplinks: []string{"uplink0"}},
	}}
	return m, w.maker.Ensure(ctx, m.id, m.d)
}

// left demands that nothing of all the runs is left.
func (w *world) left(ctx context.Context) error {
	if err := w.cni.stop(); err != nil {
		return err
	}
	left, err := w.node.Leftovers(ctx, w.before, 10*time.Second)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left behind by the runs:\n  %s", strings.Join(left, "\n  "))
	}
	return err
}

// A container is a process in a network namespace of its own, as Docker's
// --network none leaves it.
type container struct {
	ns  *netns.Namespace
	cmd *exec.Cmd
}

func newContainer() (*container, error) {
	ns, err := netns.New()
	if err != nil {
		return nil, err
	}
	c := &container{ns: ns, cmd: exec.Command("busybox", "sleep", "3600")}
	err = ns.Do(func() error {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			return fmt.Errorf("bring lo up: %w: %s", err, out)
		}
		return c.cmd.Start()
	})
	for _, key := range []string{"all", "default"} {
		err = errors.Join(err, ns.SetSysctl("1", "ipv6", "conf", key, "disable_ipv6"))
	}
	if err != nil {
		c.end()
		return nil, fmt.Errorf("make a container: %w", err)
	}
	return c, nil
}

// path names the container's namespace as an agent and as CNI get it.
func (c *container) path() string { return fmt.Sprintf("/proc/%d/ns/net", c.cmd.Process.Pid) }

func (c *container) end() {
	if c.cmd.Process != nil {
		_ = c.cmd.Process.Kill() // nothing else ends it
		_ = c.cmd.Wait()
	}
	c.ns.Close()
}
