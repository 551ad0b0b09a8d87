//go:build linux

package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// A Cloud is an emulated one whose instances the guests are: the controller has
// its NICs from there, and what is attached is plugged into the guests.
type Cloud struct {
	// API is site.EC2 or site.ECS. Optional: the first.
	API string
	// Type is the instance type of the guests, which says how many NICs each
	// takes. Optional: one with 3 beside its own.
	Type string
	// Latency has calls take as long as on the real cloud, Throttle has them throttled
	// as far as that is known.
	Latency, Throttle bool
	// Platform has the lab be the cloud's owner as well: the controller also plugs NICs
	// in by libvirt itself, into the switch and into that of another VPC, there is a host
	// outside, and guests have an IOMMU.
	Platform bool
	// Seed draws ids, MACs and times.
	Seed uint64
}

// Where the cloud is, on the host.
const (
	cloudAPI     = "127.0.0.1:7480"
	cloudControl = "127.0.0.1:7481"
)

// cloudConfig is the controller's, but for its networks.
const cloudConfig = `version: 1
socket: %s
socketGroup: root
store: %s
listen: {address: "%s"}
providers:
%snodes:
%snetworks:
%s`

// cloudProvider is the provider's name in that config.
const cloudProvider = "cloud"

// reserve is what makes a network's NICs ahead.
const reserve = "pool: {min: 1, max: 1}"

// startCloud starts the cloud and makes its router a part of the LAN.
func (c *Cluster) startCloud(ctx context.Context) error {
	o := c.opts.Cloud
	args := []string{
		filepath.Join(c.opts.Bin, "nicferry-lab"), "cloud", "--api", c.vendor.API, "--instances", "0", "--type", cmp.Or(o.Type, c.vendor.Type),
		"--libvirt", c.host.URI(), "--bridge", LANBridge, "--listen", cloudAPI, "--control", cloudControl, "--metadata", net.JoinHostPort(c.vendor.Metadata, "80"),
		"--seed", strconv.FormatUint(o.Seed, 10), "--latency=" + strconv.FormatBool(o.Latency), "--throttle=" + strconv.FormatBool(o.Throttle),
	}
	for _, n := range c.nodes {
		args = append(args, "--domain", n.Name, "--asks-from", n.Name+"="+managementAddr(n.index).Addr().String())
	}
	if _, err := c.host.Run(ctx, "ip", "addr", "add", c.vendor.Metadata+"/32", "dev", "lo"); err != nil {
		return err
	}
	if err := c.host.Launch(ctx, lab.Program{Name: cloudLog, Args: args}); err != nil {
		return err
	}
	var about site.About
	err := lab.Until(ctx, "the cloud to serve", 30*time.Second, pause, func(ctx context.Context) (err error) {
		about, err = c.AboutCloud(ctx)
		return err
	})
	if err != nil {
		return err
	}
	subnet := about.Subnets[0]
	for _, addr := range c.vendor.Routers(subnet) {
		if _, err := c.host.Run(ctx, "ip", "-n", LAN, "addr", "add", addr.String(), "dev", LANWire); err != nil {
			return err
		}
	}
	if o.Platform {
		if err := c.run(ctx, platformSteps()...); err != nil {
			return err
		}
	}
	if err := c.wireMetadata(ctx, subnet); err != nil {
		return err
	}
	c.tell("a cloud of the lab's own serves %s's API on %s; its subnet %s is the switch", c.vendor.Name, about.Endpoint, subnet.CIDR)
	return nil
}

// wireMetadata joins the subnet to the metadata service, which the host has. Guests come
// by their default route, containers by their interface: by way of the LAN's router, or
// with a question who has the address on the wire. Answers go by the switch.
func (c *Cluster) wireMetadata(ctx context.Context, subnet site.Subnet) error {
	for _, step := range []string{
		// Nobody is told of a shorter way: they are to use the cloud's.
		"ip netns exec " + LAN + " sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf." + LANWire + ".send_redirects=0",
		"ip -n " + LAN + " route add " + c.vendor.Metadata + " dev " + LANWire + " src " + c.vendor.Gateway(subnet).String(),
		"ip route add " + subnet.CIDR.String() + " dev " + LANBridge,
	} {
		args := strings.Fields(step)
		if _, err := c.host.Run(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// cloudLog names the cloud's log.
const cloudLog = "cloud"

// cloudController is the controller's config for the cloud.
func (c *Cluster) cloudController(ctx context.Context, reserved bool, more ...vendors.Network) (string, error) {
	about, err := c.AboutCloud(ctx)
	if err != nil {
		return "", err
	}
	return c.cloudText(about, reserved, more...), nil
}

// cloudText is that config for the cloud that says so of itself. It has four networks in
// the cloud's first subnet: one whose NICs are made when they are asked for, one that
// may keep some in reserve, one that gives each container a public address too, and one
// whose containers share NICs. Its switch carries 1500 bytes, whatever the cloud's does.
func (c *Cluster) cloudText(about site.About, reserved bool, more ...vendors.Network) string {
	var nodes, networks strings.Builder
	for _, i := range about.Instances {
		fmt.Fprintf(&nodes, "  %s: {instances: {%s: %s}}\n", i.Name, cloudProvider, i.ID)
	}
	var ahead []string
	if reserved {
		ahead = []string{reserve}
	}
	for _, n := range append([]vendors.Network{
		{Name: "vpc", Section: []string{"ipv6: true"}},
		{Name: "warm", Section: []string{"ipv6: true"}, More: ahead},
		{Name: "public", Section: []string{"ipv6: true", "publicIP: true"}},
		{Name: "shared", Section: []string{"mode: shared"}},
	}, more...) {
		n.Provider, n.Subnets, n.Groups = cloudProvider, []string{about.Subnets[0].ID}, []string{about.Group}
		n.More = append(n.More, "mtu: 1500")
		networks.WriteString(c.vendor.Network(n))
	}
	providers := c.vendor.Provider(cloudProvider, about.Region, about.Endpoint)
	if c.opts.Cloud.Platform {
		providers += fmt.Sprintf("  - {name: vms, kind: libvirt, libvirt: {uri: %q}}\n", c.host.URI())
		networks.WriteString(platformNetworks)
	}
	return fmt.Sprintf(cloudConfig, c.Socket(), c.file("nicferry.db"), c.api(), providers, nodes.String(), networks.String())
}

// cloudEnv is what the SDK finds credentials in.
func (c *Cluster) cloudEnv(ctx context.Context) ([]string, error) {
	about, err := c.AboutCloud(ctx)
	if err != nil {
		return nil, err
	}
	return c.vendor.Keys(about), nil
}

// AboutCloud is what the cloud says of itself.
func (c *Cluster) AboutCloud(ctx context.Context) (about site.About, err error) {
	return about, c.AskCloud(ctx, http.MethodGet, "/", nil, &about)
}

// AskCloud calls the control of the lab's cloud: see package control. Body and
// answer are JSON; either may be nil.
func (c *Cluster) AskCloud(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask the cloud's control: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+cloudControl+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("ask the cloud's control: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: guest.DialIn(c.ns), DisableKeepAlives: true}}
	got, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("ask the cloud's control: %w", err)
	}
	defer got.Body.Close()
	said, err := io.ReadAll(got.Body)
	if err == nil && got.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", got.Status, said)
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(said, answer)
	}
	if err != nil {
		return fmt.Errorf("ask the cloud's control for %s %s: %w", method, path, err)
	}
	return nil
}

// Reserve says whether network warm keeps a NIC in reserve on each node, as it
// does not at first: it starts the controller anew, with a config that says so.
func (c *Cluster) Reserve(ctx context.Context, kept bool) error { return c.reconfigure(ctx, kept) }

// AddNetwork starts the controller anew with one more network in the cloud's first
// subnet, whose section has these fields.
func (c *Cluster) AddNetwork(ctx context.Context, name string, section ...string) error {
	return c.reconfigure(ctx, false, vendors.Network{Name: name, Section: section})
}

func (c *Cluster) reconfigure(ctx context.Context, reserved bool, more ...vendors.Network) error {
	config, err := c.cloudController(ctx, reserved, more...)
	if err != nil {
		return err
	}
	if err := c.configure(config); err != nil {
		return err
	}
	if err := c.KillController(ctx); err != nil {
		return err
	}
	return c.StartController(ctx)
}
