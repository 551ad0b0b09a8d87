//go:build linux

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/lab/accel"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/virt"
)

// Up brings a lab up and waits until every guest's engine and agent serve. It
// lives on when the caller ends, until Down. If anything fails or ctx ends,
// nothing is left. hyper.ErrRuns means that there is one at the directory.
func Up(ctx context.Context, opts Options) (*Cluster, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("bring the lab up: %w", err)
	}
	c := &Cluster{opts: opts, begin: time.Now()}
	c.host, err = hyper.Start(ctx, hyper.Options{Dir: opts.Dir, Log: opts.Log})
	if err == nil {
		err = c.fill(ctx)
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTime)
			defer cancel()
			err = errors.Join(err, c.tails(), c.Close(), c.host.Stop(clean))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bring the lab up: %w", err)
	}
	return c, nil
}

// downTime bounds the end of a lab.
const downTime = time.Minute

// fill puts into the host what a lab has.
func (c *Cluster) fill(ctx context.Context) error {
	c.tell("a libvirtd of the lab's own serves in a mount and a network namespace")
	if err := c.remember(); err != nil {
		return err
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.makeNetworks(ctx); err != nil {
		return err
	}
	c.tell("switch %s (%s), router and dnsmasq are up", LANBridge, c.opts.Switch)
	if c.opts.Metal != nil {
		if err := c.makeMetal(ctx); err != nil {
			return err
		}
		c.tell("switches %s and %s for cards are up, and hosts beside them on VLANs 100 and 200", SwitchA, SwitchB)
	}
	if c.opts.Cloud != nil {
		if err := c.startCloud(ctx); err != nil {
			return err
		}
	}
	if err := c.startController(ctx); err != nil {
		return err
	}
	c.tell("nicferryd serves on %s and %s", c.Socket(), c.apiAddress())
	kernel, err := guest.FindKernel("")
	if err != nil {
		return err
	}
	kind, err := accel.Choose(ctx, accel.Options{Dir: guest.DefaultDir, Kernel: kernel, Log: c.opts.Log})
	if err != nil {
		return err
	}
	image, err := guest.Prepare(ctx, c.host.Lib(), guest.Options{
		Program: c.opts.Program,
		Exports: []guest.Export{{Tag: "nicferry", Path: c.opts.Bin, Mount: GuestBin}},
	})
	if err != nil {
		return err
	}
	c.tell("guests run kernel %s on %s; a boot takes 5 to 20 s there", image.Kernel.Version, kind)
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		group.Go(func() error { return n.boot(ctx, image, kind) })
	}
	return group.Wait()
}

// connect opens the host's namespace and its libvirtd.
func (c *Cluster) connect(ctx context.Context) (err error) {
	if c.opts.Cloud != nil {
		if c.vendor, err = vendors.Of(c.opts.Cloud.API); err != nil {
			return err
		}
	}
	if c.ns, err = netns.Open(c.host.NetNS()); err != nil {
		return err
	}
	if c.virt, err = virt.Open(ctx, virt.Options{URI: c.host.URI(), Log: c.opts.Log}); err != nil {
		return err
	}
	for i := 1; i <= c.opts.Nodes; i++ {
		n := &Node{Name: nodeName(i), cluster: c, index: i}
		n.Client = &guest.Client{Addr: managementAddr(i).Addr(), Dial: guest.DialIn(c.ns)}
		c.nodes = append(c.nodes, n)
	}
	return nil
}

// stored is what Find needs to know of a lab.
type stored struct {
	Nodes, Ports, MemoryMiB int
	Switch                  Switch
	Cloud                   *Cloud
	Metal                   *Metal
	Bin, Controller         string
}

func (c *Cluster) remember() error {
	o := c.opts
	text, err := json.Marshal(stored{o.Nodes, o.Ports, o.MemoryMiB, o.Switch, o.Cloud, o.Metal, o.Bin, o.Controller})
	if err != nil {
		return err
	}
	return os.WriteFile(c.file("lab.json"), text, 0o600)
}

// Find finds the lab at the directory, whoever brought it up; an empty one is
// DefaultDir. hyper.ErrNone means that there is none.
func Find(ctx context.Context, dir string) (*Cluster, error) {
	opts, err := Options{Dir: dir, Bin: "/"}.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, begin: time.Now()}
	if c.host, err = hyper.Find(opts.Dir, opts.Log); err != nil {
		return nil, fmt.Errorf("find the lab: %w", err)
	}
	text, err := os.ReadFile(c.file("lab.json"))
	var s stored
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("find the lab: it is half up, take it down first: %w", err)
	}
	c.opts.Nodes, c.opts.Ports, c.opts.MemoryMiB, c.opts.Switch, c.opts.Cloud, c.opts.Metal, c.opts.Bin, c.opts.Controller =
		s.Nodes, s.Ports, s.MemoryMiB, s.Switch, s.Cloud, s.Metal, s.Bin, s.Controller
	if err := c.connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("find the lab: %w", err), c.Close())
	}
	return c, nil
}

// Down takes the lab at the directory down with all that is in it. It may be
// called twice, and after a crash of whoever brought it up.
func Down(ctx context.Context, dir string) error {
	if dir == "" {
		dir = DefaultDir
	}
	ctx, cancel := context.WithTimeout(ctx, downTime)
	defer cancel()
	return hyper.Stop(ctx, dir)
}
