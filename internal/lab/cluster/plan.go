//go:build linux

package cluster

import (
	"fmt"
	"net"
	"net/netip"
)

// The lab's networks. Nobody outside its namespace sees them.
const (
	// ManagementBridge is how the host, the controller and the agents speak.
	ManagementBridge = "mgmt0"
	// LANBridge is the switch that NICs are plugged into.
	LANBridge = "lan0"
	// LAN is the network namespace, on the host, of the router, the DHCP server
	// and every peer outside the guests.
	LAN = "lan"
	// LANWire is the LAN's end of what joins it to its switch.
	LANWire, lanUplink = "wire0", "uplink0"

	// apiPort is where agents reach the controller.
	apiPort = 7460
)

var (
	managementHost = netip.MustParsePrefix("10.98.0.1/24")
	// routerAddrs are the router's on the LAN: for DHCP, for fixed addresses.
	routerAddrs = []netip.Prefix{
		netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("10.77.1.1/24"), netip.MustParsePrefix("fd77::1/64"),
	}
)

// dhcpRange is dnsmasq's form of what it gives: 120 s is its shortest lease.
const dhcpRange = "10.77.0.100,10.77.0.199,255.255.255.0,120"

func nodeName(i int) string { return fmt.Sprintf("vm%d", i) }

// managementAddr is the address of guest i, from 1.
func managementAddr(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 98, 0, byte(10 + i)}), managementHost.Bits())
}

// managementMAC is under QEMU's own prefix, so that nothing takes it for ours.
func managementMAC(i int) net.HardwareAddr {
	return net.HardwareAddr{0x52, 0x54, 0x00, 0x98, 0x00, byte(i)}
}
