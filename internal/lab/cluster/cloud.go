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
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/guest"
)

// A Cloud is an emulated EC2 whose instances the guests are: the controller has
// its NICs from there, and what is attached is plugged into the guests.
type Cloud struct {
	// Type is the instance type of the guests, which says how many NICs each
	// takes. Optional: m5.xlarge, 3 beside its own.
	Type string
	// Latency has calls take as long as on EC2, Throttle has them throttled as
	// EC2 documents it.
	Latency, Throttle bool
	// Seed draws ids, MACs and times.
	Seed uint64
}

// Where the cloud is, on the host.
const (
	cloudAPI     = "127.0.0.1:7480"
	cloudControl = "127.0.0.1:7481"
)

// MetadataAddr is where a cloud's instances have their metadata: the guests, and
// whoever is on the wire of an interface and is not kept from it.
const MetadataAddr = "169.254.169.254"

// cloudMaker is what instances of EC2 are known by.
const cloudMaker = "Amazon EC2"

// router6 is the router of every subnet of EC2 over IPv6, with its wire's prefix.
var router6 = netip.MustParsePrefix("fe80:ec2::1/64")

// cloudConfig has four networks in the cloud's first subnet: one whose NICs are made
// when they are asked for, one that may keep some in reserve, one that gives each
// container a public address too, and one whose containers share NICs. Its switch
// carries 1500 bytes, and not EC2's 9001.
const cloudConfig = `version: 1
socket: %[1]s
socketGroup: root
store: %[2]s
listen: {address: "%[3]s"}
providers:
  - {name: ec2, kind: aws, aws: {region: %[4]s, endpoint: "%[5]s"}}
nodes:
%[6]snetworks:
  - name: vpc
    provider: ec2
    addressing: provider
    mtu: 1500
    aws: {subnets: [%[7]s], groups: [%[8]s], ipv6: true}
  - name: warm
    provider: ec2
    addressing: provider
    mtu: 1500
%[9]s    aws: {subnets: [%[7]s], groups: [%[8]s], ipv6: true}
  - name: public
    provider: ec2
    addressing: provider
    mtu: 1500
    aws: {subnets: [%[7]s], groups: [%[8]s], ipv6: true, publicIP: true}
  - name: shared
    provider: ec2
    addressing: provider
    mtu: 1500
    aws: {subnets: [%[7]s], groups: [%[8]s], mode: shared}
`

// reserve is what makes a network's NICs ahead.
const reserve = "    pool: {min: 1, max: 1}\n"

// startCloud starts the cloud and makes its router a part of the LAN.
func (c *Cluster) startCloud(ctx context.Context) error {
	o := c.opts.Cloud
	args := []string{
		filepath.Join(c.opts.Bin, "nicferry-lab"), "cloud", "--instances", "0", "--type", cmp.Or(o.Type, "m5.xlarge"),
		"--libvirt", c.host.URI(), "--bridge", LANBridge, "--listen", cloudAPI, "--control", cloudControl, "--metadata", net.JoinHostPort(MetadataAddr, "80"),
		"--seed", strconv.FormatUint(o.Seed, 10), "--latency=" + strconv.FormatBool(o.Latency), "--throttle=" + strconv.FormatBool(o.Throttle),
	}
	for _, n := range c.nodes {
		args = append(args, "--domain", n.Name, "--asks-from", n.Name+"="+managementAddr(n.index).Addr().String())
	}
	if _, err := c.host.Run(ctx, "ip", "addr", "add", MetadataAddr+"/32", "dev", "lo"); err != nil {
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
	routers := []netip.Prefix{
		netip.PrefixFrom(subnet.CIDR.Addr().Next(), subnet.CIDR.Bits()),
		netip.PrefixFrom(subnet.CIDR6.Addr().Next(), subnet.CIDR6.Bits()),
		router6,
	}
	for _, addr := range routers {
		if _, err := c.host.Run(ctx, "ip", "-n", LAN, "addr", "add", addr.String(), "dev", LANWire); err != nil {
			return err
		}
	}
	if err := c.wireMetadata(ctx, subnet.CIDR); err != nil {
		return err
	}
	c.tell("a cloud of the lab's own serves EC2's API on %s; its subnet %s is the switch", about.Endpoint, subnet.CIDR)
	return nil
}

// wireMetadata joins the subnet to the metadata service, which the host has. Guests come
// by their default route, containers by their interface: by way of the LAN's router, or
// with a question who has the address on the wire. Answers go by the switch.
func (c *Cluster) wireMetadata(ctx context.Context, subnet netip.Prefix) error {
	for _, step := range []string{
		// Nobody is told of a shorter way: they are to use EC2's.
		"ip netns exec " + LAN + " sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf." + LANWire + ".send_redirects=0",
		"ip -n " + LAN + " route add " + MetadataAddr + " dev " + LANWire + " src " + subnet.Addr().Next().String(),
		"ip route add " + subnet.String() + " dev " + LANBridge,
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
func (c *Cluster) cloudController(ctx context.Context, reserved bool) (string, error) {
	about, err := c.AboutCloud(ctx)
	if err != nil {
		return "", err
	}
	return c.cloudText(about, reserved), nil
}

// cloudText is that config for the cloud that says so of itself.
func (c *Cluster) cloudText(about site.About, reserved bool) string {
	var nodes strings.Builder
	for _, i := range about.Instances {
		fmt.Fprintf(&nodes, "  %s: {instances: {ec2: %s}}\n", i.Name, i.ID)
	}
	pool := ""
	if reserved {
		pool = reserve
	}
	return fmt.Sprintf(cloudConfig, c.Socket(), c.file("nicferry.db"), c.api(),
		about.Region, about.Endpoint, nodes.String(), about.Subnets[0].ID, about.Group, pool)
}

// cloudEnv is what the SDK finds credentials in, and nothing of the user's own.
func (c *Cluster) cloudEnv(ctx context.Context) ([]string, error) {
	about, err := c.AboutCloud(ctx)
	if err != nil {
		return nil, err
	}
	return []string{
		"AWS_ACCESS_KEY_ID=" + about.AccessKey, "AWS_SECRET_ACCESS_KEY=" + about.SecretKey, "AWS_SESSION_TOKEN=",
		"AWS_PROFILE=", "AWS_DEFAULT_PROFILE=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true",
	}, nil
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
func (c *Cluster) Reserve(ctx context.Context, kept bool) error {
	config, err := c.cloudController(ctx, kept)
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
