//go:build linux

// Package cloudrig is a fleet whose machines are instances of a cloud in memory, and
// the scenarios that are the same in each cloud: real daemons and containers, the
// vendor's own SDK, and interfaces that are cards of the machines.
package cloudrig

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/cloudsim/plug"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A World is what rigs of one package are made of. Both are required.
type World struct {
	Vendor vendors.Vendor
	// Bin is where nicferry's programs are.
	Bin string
}

// atOnce is how many rigs run beside each other: they wait most of the time.
const atOnce = "4"

// Main runs a package's tests with the programs built, out of the module at root, into
// a folder that bin says.
func Main(m labtest.Runner, root string, bin *string) int {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	return labtest.WithPrograms(m, root, bin).Run()
}

// A Rig is a fleet whose machines are instances of a cloud of its own. The cloud's API
// is on the loopback of the controller's machine, and its subnets are on a switch
// there: what is attached is a real card in the instance's machine.
type Rig struct {
	*fleet.Fleet
	World

	T     *testing.T
	Site  *site.Site
	About site.About
	// Env is the controller's environment.
	Env []string

	cards *plug.Namespaces
}

// Options shape a rig. All are optional.
type Options struct {
	Agents int    // 1
	Type   string // of the instances
	Cloud  cloudsim.Options
	// Throttled has the cloud throttle calls as it is known to.
	Throttled bool
	// Account says who may do what; nil lets everybody do all.
	Account *iam.Account
	// Providers are further items of the controller's list, besides cloud; Names are
	// theirs, and Keys what the cloud takes besides its own.
	Providers string
	Names     []string
	Keys      map[string]ec2.Key
	Networks  func(*Rig) string // besides vpc
	More      string            // of the controller's config
	// Env is the controller's environment instead of the cloud's own key. dir is the
	// test's.
	Env func(r *Rig, dir string) []string
	// Allow says who may do what, once the controller runs and before agents do.
	Allow func(*Rig)
	// AtHome has the controller's machine be an instance too, with metadata that wants
	// tokens.
	AtHome bool
}

// Endpoint is the cloud's API on the controller's machine.
const Endpoint = "http://127.0.0.1:8000"

// The switch of all subnets, in a namespace of the controller's machine.
const vpcSpace, vpcSwitch = "vpc", "vpc0"

// errNotYet: what is waited for is not so.
var errNotYet = errors.New("it is not so")

// lastWait bounds a rig's start, and its end.
const lastWait = 2 * time.Minute

// Start starts a rig, which ends with the test.
func (w World) Start(t *testing.T, o Options) *Rig {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), lastWait)
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Options{
		Bin: w.Bin, Agents: o.Agents, ByHand: true, Providers: w.Vendor.Provider("cloud", w.Vendor.Region, Endpoint) + o.Providers,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{Fleet: f, World: w, T: t}
	t.Cleanup(r.end)
	r.Must(r.open(ctx, o))
	r.Env = w.Vendor.Keys(r.About)
	if o.Env != nil {
		r.Env = o.Env(r, t.TempDir())
	}
	r.SetEnv(r.Env)
	r.Must(r.configure(o))
	r.Must(r.StartController(ctx))
	if o.Allow != nil {
		o.Allow(r)
	}
	for _, a := range r.Agents {
		r.Must(a.Join(ctx))
		r.Must(a.Start(ctx))
	}
	return r
}

// open makes the cloud and its wires.
func (r *Rig) open(ctx context.Context, o Options) error {
	mtu := r.Vendor.MTU
	steps := []string{
		"netns add " + vpcSpace,
		"-n " + vpcSpace + " link set lo up",
		fmt.Sprintf("-n %s link add %s mtu %d type bridge forward_delay 0", vpcSpace, vpcSwitch, mtu),
		"-n " + vpcSpace + " link set " + vpcSwitch + " up",
	}
	so := site.Options{
		API: r.Vendor.API, Listen: strings.TrimPrefix(Endpoint, "http://"), Instances: len(r.Agents), Type: o.Type, Account: o.Account, Throttled: o.Throttled, Cloud: o.Cloud, Keys: o.Keys,
	}
	if o.AtHome {
		home := netip.MustParseAddr(r.Vendor.Metadata) // which answers itself
		steps = append(steps, "addr add "+home.String()+"/32 dev lo")
		so.Machines = []site.Machine{{ID: plug.InstanceID("controller"), Name: "controller", Addr: home}}
		so.Metadata, so.Hardened = netip.AddrPortFrom(home, 80).String(), true
	}
	if err := r.ip(ctx, steps...); err != nil {
		return err
	}
	r.cards = plug.NewNamespaces(plug.NamespaceOptions{
		Switch: filepath.Join(r.Machine.Root(), "run", "netns", vpcSpace), Bridge: vpcSwitch, MTU: mtu,
	})
	so.Cloud.Plugger = r.cards
	here, err := netns.Open(r.Machine.NetNS())
	if err != nil {
		return err
	}
	defer here.Close()
	err = here.Do(func() (err error) {
		r.Site, err = site.Start(ctx, so)
		return err
	})
	if err != nil {
		return err
	}
	r.About = r.Site.About
	for n, a := range r.Agents {
		r.cards.Machine(r.About.Instances[n].ID, a.Machine.NetNS())
	}
	for _, s := range r.About.Subnets {
		if err := r.ip(ctx, fmt.Sprintf("-n %s addr add %s/%d dev %s", vpcSpace, r.Vendor.Gateway(s), s.CIDR.Bits(), vpcSwitch)); err != nil {
			return err
		}
	}
	return nil
}

// ip runs the program of that name on the controller's machine, step by step.
func (r *Rig) ip(ctx context.Context, steps ...string) error {
	for _, step := range steps {
		if _, err := r.Machine.Run(ctx, "ip", strings.Fields(step)...); err != nil {
			return err
		}
	}
	return nil
}

// configure writes the controller's config. Network vpc is the cloud's two subnets.
func (r *Rig) configure(o Options) error {
	networks := r.Network("vpc")
	if o.Networks != nil {
		networks += o.Networks(r)
	}
	var nodes strings.Builder
	for n, a := range r.Agents {
		fmt.Fprintf(&nodes, "  %s: {instances: {cloud: %s", a.Name, r.About.Instances[n].ID)
		for _, name := range o.Names {
			fmt.Fprintf(&nodes, ", %s: %s", name, r.About.Instances[n].ID)
		}
		nodes.WriteString("}}\n")
	}
	return r.Configure(networks, "nodes:\n"+nodes.String()+o.More)
}

// Network is the config of a network of provider cloud in both subnets; section is what
// the cloud's section has besides.
func (r *Rig) Network(name string, section ...string) string {
	return r.Vendor.Network(r.Plain(name, section...))
}

// Plain is such a network, before it is written.
func (r *Rig) Plain(name string, section ...string) vendors.Network {
	return vendors.Network{
		Name: name, Provider: "cloud", Subnets: []string{r.About.Subnets[0].ID, r.About.Subnets[1].ID}, Groups: []string{r.About.Group}, Section: section,
	}
}

// end takes the containers away as a user would, and wants nothing to be left, in the
// controller and in the cloud.
func (r *Rig) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.T.Context()), lastWait)
	defer cancel()
	if err := r.leave(ctx); err != nil {
		r.T.Error(err)
	}
	if r.T.Failed() {
		r.T.Log(r.Logs())
		r.T.Log("log of the cloud:\n" + r.CloudLog(0))
	}
	err := r.Close()
	if r.Site != nil {
		err = errors.Join(err, r.Site.Close())
	}
	if err != nil {
		r.T.Error(err)
	}
}

func (r *Rig) leave(ctx context.Context) error {
	if r.Site == nil || r.T.Failed() {
		return nil
	}
	r.Site.Cloud.Clear()
	for _, a := range r.Agents {
		ids, err := a.Docker(ctx, "ps", "-aq")
		if err != nil {
			return err
		}
		if names := strings.Fields(ids); len(names) > 0 {
			if _, err := a.Docker(ctx, append([]string{"rm", "-f"}, names...)...); err != nil {
				return err
			}
		}
	}
	return fleet.Until(ctx, "nothing of ours to be left", func() error { return r.Orphans(ctx) })
}

// Orphans is an error while the cloud has an interface of ours that no pool keeps, or
// a claim is left of a container that is gone. The record of a NIC outlives it: for as
// long as a cloud may hide what it has.
func (r *Rig) Orphans(ctx context.Context) error {
	known, err := r.NICs(ctx)
	if err != nil {
		return err
	}
	for id, n := range known {
		if n.Phase != nic.PhaseSpare && n.Phase != nic.PhaseRetiring {
			return fmt.Errorf("there still is %s, %s: %v", id, n.Phase, n.Conditions)
		}
	}
	for _, e := range r.Ours() {
		if known[nic.ID(e.Tags[tagNIC])].Phase != nic.PhaseSpare {
			return fmt.Errorf("there still is %s in the cloud: %+v", e.ID, e)
		}
	}
	return nil
}
