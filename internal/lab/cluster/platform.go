//go:build linux

package cluster

import (
	"fmt"
	"net/netip"
)

// The lab of a cloud's owner: see Cloud.Platform.
const (
	// OtherBridge is the switch of another VPC.
	OtherBridge = "lan1"
	// Outside is the network namespace of a client whose way in is by the router, which
	// plays the cloud's gateway.
	Outside = "outside"

	otherWire, otherUplink     = "wire1", "uplink1"
	outsideWire, gatewayWire   = "wire0", "outside0"
	outsideAddr, outsideRouter = "203.0.113.2/24", "203.0.113.1/24"
)

// OtherRouter is the router's address in the other VPC.
var OtherRouter = netip.MustParsePrefix("10.90.0.1/24")

// platformNetworks are on the switch, with the DHCP server that is there, and in the
// other VPC.
const platformNetworks = `  - {name: lab, provider: vms, addressing: dhcp, port: {bridge: ` + LANBridge + `}}
  - name: other
    provider: vms
    addressing: ipam
    port: {bridge: ` + OtherBridge + `}
    subnets: [{prefix: 10.90.0.0/24, gateway: 10.90.0.1, ranges: [10.90.0.100-10.90.0.199]}]
`

// platformSteps make the other VPC and the host outside, and join them to the router.
func platformSteps() []string {
	return []string{
		"ip link add " + otherUplink + " type veth peer name " + otherWire + " netns " + LAN,
		"sysctl -qw net/ipv6/conf/" + otherUplink + "/disable_ipv6=1",
		"ip link add " + OtherBridge + " type bridge forward_delay 0",
		"sysctl -qw net/ipv6/conf/" + OtherBridge + "/disable_ipv6=1",
		"ip link set " + otherUplink + " master " + OtherBridge,
		"ip link set " + otherUplink + " up",
		"ip link set " + OtherBridge + " up",
		fmt.Sprintf("ip -n %s addr add %s dev %s", LAN, OtherRouter, otherWire),
		"ip -n " + LAN + " link set " + otherWire + " up",

		"ip netns add " + Outside,
		"ip -n " + Outside + " link add " + outsideWire + " type veth peer name " + gatewayWire + " netns " + LAN,
		"ip -n " + Outside + " link set lo up",
		"ip -n " + Outside + " addr add " + outsideAddr + " dev " + outsideWire,
		"ip -n " + Outside + " link set " + outsideWire + " up",
		"ip -n " + LAN + " addr add " + outsideRouter + " dev " + gatewayWire,
		"ip -n " + LAN + " link set " + gatewayWire + " up",
		"ip -n " + Outside + " route add default via " + netip.MustParsePrefix(outsideRouter).Addr().String(),
	}
}
