//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
)

// makeNetworks makes the bridges, the LAN's namespace and its DHCP server.
func (c *Cluster) makeNetworks(ctx context.Context) error {
	steps := []string{
		"ip link add " + ManagementBridge + " type bridge forward_delay 0",
		"ip addr add " + managementHost.String() + " dev " + ManagementBridge,
		"ip link set " + ManagementBridge + " up",
		"ip netns add " + LAN,
		// Addresses are usable at once: nobody else is there to own them.
		"ip netns exec " + LAN + " sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0",
		"ip link add " + lanUplink + " type veth peer name " + LANWire + " netns " + LAN,
		"ip -n " + LAN + " link set lo up",
		"ip -n " + LAN + " link set " + LANWire + " up",
		"sysctl -qw net/ipv6/conf/" + lanUplink + "/disable_ipv6=1",
		"ip link set " + lanUplink + " up",
	}
	for _, addr := range routerAddrs {
		steps = append(steps, fmt.Sprintf("ip -n %s addr add %s dev %s", LAN, addr, LANWire))
	}
	switch c.opts.Switch {
	case OpenVSwitch:
		if err := c.startOVS(ctx); err != nil {
			return err
		}
		steps = append(steps,
			wholeFrames(LAN, LANWire),
			"ovs-vsctl --timeout=10 add-br "+LANBridge+" -- set bridge "+LANBridge+" datapath_type=netdev",
			"ovs-vsctl --timeout=10 add-port "+LANBridge+" "+lanUplink)
	default:
		steps = append(steps,
			"ip link add "+LANBridge+" type bridge forward_delay 0",
			"sysctl -qw net/ipv6/conf/"+LANBridge+"/disable_ipv6=1",
			"ip link set "+lanUplink+" master "+LANBridge,
			"ip link set "+LANBridge+" up")
	}
	if err := c.run(ctx, steps...); err != nil {
		return err
	}
	return c.startDHCP(ctx)
}

// wholeFrames has a namespace's end of a veth send frames with their checksums. It leaves
// them to the card that sends the frame at last, and a switch in user space passes frames
// on as they are: TCP and UDP would get no further than it.
func wholeFrames(namespace, link string) string {
	return "ip netns exec " + namespace + " ethtool -K " + link + " tx off"
}

// run runs commands on the host, one after the other.
func (c *Cluster) run(ctx context.Context, steps ...string) error {
	for _, step := range steps {
		args := strings.Fields(step)
		if _, err := c.host.Run(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// startDHCP starts the LAN's dnsmasq and waits until its sockets are open.
func (c *Cluster) startDHCP(ctx context.Context) error {
	pidFile := c.file("dnsmasq.pid")
	args := append([]string{"ip", "netns", "exec", LAN, "dnsmasq", "--log-facility=-"},
		lab.DHCPArgs(LANWire, dhcpRange, c.file("leases"), pidFile)...)
	err := c.host.Launch(ctx, lab.Program{Name: "dnsmasq", Args: args})
	if err != nil {
		return err
	}
	return lab.Until(ctx, "dnsmasq to serve", 10*time.Second, pause, func(context.Context) error {
		text, err := os.ReadFile(pidFile)
		if err == nil && len(text) == 0 {
			err = fmt.Errorf("%s is empty", pidFile)
		}
		return err
	})
}

// startOVS starts an Open vSwitch of the lab's own, in user space. Its sockets
// are in the host's own /run.
func (c *Cluster) startOVS(ctx context.Context) error {
	db, schema := c.file("ovs.db"), "/usr/share/openvswitch/vswitch.ovsschema"
	steps := []string{
		"mkdir -p /run/openvswitch",
		"ovsdb-tool create " + db + " " + schema,
	}
	if err := c.run(ctx, steps...); err != nil {
		return err
	}
	socket := filepath.Join(c.host.Root(), "run/openvswitch/db.sock")
	err := c.host.Launch(ctx, lab.Program{Name: "ovsdb-server", Args: []string{
		"ovsdb-server", "--remote=punix:/run/openvswitch/db.sock", "--log-file=" + c.file("log", "ovsdb.log"), db,
	}})
	if err != nil {
		return err
	}
	err = lab.Until(ctx, "ovsdb-server to serve", 10*time.Second, pause, func(context.Context) error {
		_, err := os.Stat(socket)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := c.host.Run(ctx, "ovs-vsctl", "--timeout=10", "--no-wait", "init"); err != nil {
		return err
	}
	return c.host.Launch(ctx, lab.Program{Name: "ovs-vswitchd", Args: []string{
		"ovs-vswitchd", "unix:/run/openvswitch/db.sock", "--log-file=" + c.file("log", "ovs-vswitchd.log"),
	}})
}
