package dhcp6

import "github.com/nicferry/nicferry/nic"

// Settings are what of net.ipv6.conf must be set for a NIC with this
// addressing: name and value. They decide what router advertisements may do,
// and so must be there before the link comes up: later the kernel would not ask
// for one, and one heard before would have had its effect. While the link is
// outside they are set for "default", which a link takes over as it arrives.
func Settings(l3 nic.Layer3) map[string]string {
	listen := l3.IPv6Mode == nic.IPv6SLAAC || l3.IPv6Mode == nic.IPv6DHCP
	return map[string]string{
		"disable_ipv6": yes(!l3.IPv6 && !listen),
		// 1 would stop as soon as the container forwards packets.
		"accept_ra": map[bool]string{true: "2", false: "0"}[listen],
		"autoconf":  yes(l3.IPv6Mode == nic.IPv6SLAAC),
		// The routes to the link's prefixes come in any case.
		"accept_ra_defrtr":           yes(listen && l3.DefaultRoute),
		"accept_ra_rt_info_max_plen": "0", // no routes to elsewhere by a neighbour's word
		"accept_redirects":           "0",
		"use_tempaddr":               "0", // a container has the addresses that we report
	}
}

func yes(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
