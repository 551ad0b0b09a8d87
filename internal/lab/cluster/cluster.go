//go:build linux

// Package cluster is a lab of virtual machines: a private libvirtd, a switch, a
// DHCP server, nicferryd, and guests with a Docker engine and an agent each.
package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/virt"
)

// DefaultDir is where a lab lives unless told otherwise.
const DefaultDir = "/var/lib/nicferry-lab"

// Switch is what the guests' NICs are plugged into.
type Switch string

// The switches.
const (
	LinuxBridge Switch = "bridge"
	OpenVSwitch Switch = "ovs" // in user space: it needs no kernel module
)

// Options say what lab to bring up.
type Options struct {
	// Dir is the lab's own directory, which Down removes. Optional: DefaultDir.
	// See hyper.Options for what it may be.
	Dir string
	// Nodes is how many guests there are: 1 to 16. Optional: 2.
	Nodes int
	// Ports is how many NICs can be plugged into each guest: 1 to 64. Optional:
	// 16.
	Ports int
	// MemoryMiB is each guest's. Optional: 1536.
	MemoryMiB int
	// Switch is what NICs are plugged into. Optional: LinuxBridge.
	Switch Switch
	// Bin is the folder of nicferryd and nicferry-agent, as an absolute path.
	// Required.
	Bin string
	// Program is what guests run first; see guest.Options. Optional: the program
	// that is running.
	Program string
	// Cloud has the guests be a cloud's instances, on LinuxBridge. Optional: nil is
	// libvirt itself, which the controller plugs NICs in with.
	Cloud *Cloud
	// Metal has the guests play physical hosts too, whose cards are cut into VFs.
	// Optional: nil is not to.
	Metal *Metal
	// Controller is added to the controller's config, as YAML. Optional.
	Controller string
	// Out is told of every step as it is done. Optional.
	Out io.Writer
	// Log is told what is of interest to a developer only. Optional.
	Log *slog.Logger
}

const (
	maxNodes = 16
	maxPorts = 64
)

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		o.Dir = DefaultDir
	}
	if o.Nodes == 0 {
		o.Nodes = 2
	}
	if o.Ports == 0 {
		o.Ports = 16
	}
	if o.MemoryMiB == 0 {
		o.MemoryMiB = 1536
	}
	if o.Switch == "" {
		o.Switch = LinuxBridge
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if o.Nodes < 1 || o.Nodes > maxNodes {
		errs = append(errs, fmt.Errorf("%d nodes; want 1 to %d", o.Nodes, maxNodes))
	}
	if o.Ports < 1 || o.Ports > maxPorts {
		errs = append(errs, fmt.Errorf("%d ports; want 1 to %d", o.Ports, maxPorts))
	}
	if o.MemoryMiB < 512 {
		errs = append(errs, fmt.Errorf("%d MiB of memory; a guest needs 512", o.MemoryMiB))
	}
	if o.Switch != LinuxBridge && o.Switch != OpenVSwitch {
		errs = append(errs, fmt.Errorf("no switch %q; want %s or %s", o.Switch, LinuxBridge, OpenVSwitch))
	}
	if o.Cloud != nil && o.Metal != nil {
		errs = append(errs, errors.New("physical hosts that are instances of a cloud; want one of both"))
	}
	if o.Cloud != nil && o.Switch != LinuxBridge {
		errs = append(errs, fmt.Errorf("a cloud on switch %s; want %s", o.Switch, LinuxBridge))
	}
	if o.Cloud != nil {
		if _, err := vendors.Of(o.Cloud.API); err != nil {
			errs = append(errs, err)
		}
	}
	if !filepath.IsAbs(o.Bin) {
		errs = append(errs, fmt.Errorf("programs in %q; want an absolute path", o.Bin))
	}
	return o, errors.Join(errs...)
}

// A Cluster is a lab that is up. Close lets go of it and leaves it up.
type Cluster struct {
	opts  Options
	host  *hyper.Host
	virt  *virt.Conn
	ns    *netns.Namespace
	nodes []*Node
	// vendor is that of opts.Cloud.
	vendor vendors.Vendor

	out   sync.Mutex
	begin time.Time
}

// Nodes are the guests, in order.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node is the guest with the name.
func (c *Cluster) Node(name string) (*Node, error) {
	for _, n := range c.nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node %q in this lab: there are %s to %s", name, nodeName(1), nodeName(len(c.nodes)))
}

// Host is the machine that the guests run on.
func (c *Cluster) Host() *hyper.Host { return c.host }

// Virt is the connection to the lab's libvirtd.
func (c *Cluster) Virt() *virt.Conn { return c.virt }

// Close ends the connections to the lab, which stays up.
func (c *Cluster) Close() error {
	var errs []error
	if c.virt != nil {
		errs = append(errs, c.virt.Close())
		c.virt = nil
	}
	if c.ns != nil {
		errs = append(errs, c.ns.Close())
		c.ns = nil
	}
	return errors.Join(errs...)
}

// tell prints one step with the time since the lab was begun.
func (c *Cluster) tell(format string, args ...any) {
	c.out.Lock()
	defer c.out.Unlock()
	fmt.Fprintf(c.opts.Out, "%6.1fs  %s\n", time.Since(c.begin).Seconds(), fmt.Sprintf(format, args...))
}

// file is a path in the lab's directory.
func (c *Cluster) file(parts ...string) string {
	return filepath.Join(append([]string{c.opts.Dir}, parts...)...)
}
