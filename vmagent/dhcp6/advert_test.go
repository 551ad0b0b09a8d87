//go:build linux

package dhcp6

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
	"github.com/nicferry/nicferry/vmagent/ferry"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// S7: a flood of foreign router advertisements gives a container addresses and
// routes only where its network says so.
func TestS7_Flood(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		l3                      nic.Layer3
		addr, onLink, toDefault bool
	}{
		"no IPv6":                  {nic.Layer3{}, false, false, false},
		"subnets":                  {nic.Layer3{IPv6: true, DefaultRoute: true}, false, false, false},
		"DHCP":                     {nic.Layer3{IPv6: true, IPv6Mode: nic.IPv6DHCP, DefaultRoute: true}, false, true, true},
		"DHCP, default elsewhere":  {nic.Layer3{IPv6: true, IPv6Mode: nic.IPv6DHCP}, false, true, false},
		"SLAAC":                    {nic.Layer3{IPv6: true, IPv6Mode: nic.IPv6SLAAC, DefaultRoute: true}, true, true, true},
		"SLAAC, default elsewhere": {nic.Layer3{IPv6: true, IPv6Mode: nic.IPv6SLAAC}, true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ferried(t, test.l3)
			if test.l3.IPv6 {
				awaitLinkLocal(t, w)
			}
			flood(t, w, 50)
			addrs := netnstest.Run(t, w.Client, "ip", "-6", "addr", "show", "dev", "nic0", "scope", "global")
			routes := netnstest.Run(t, w.Client, "ip", "-6", "route", "show", "dev", "nic0")
			for what, got := range map[string][2]bool{
				"an address":            {strings.Contains(addrs, "inet6"), test.addr},
				"a route to the prefix": {strings.Contains(routes, "fd00:66:"), test.onLink},
				"a default route":       {strings.Contains(routes, "default"), test.toDefault},
				"a route to elsewhere":  {strings.Contains(routes, "fd00:99:"), false},
				"a temporary address":   {strings.Contains(addrs, "temporary"), false},
			} {
				if got[0] != got[1] {
					t.Errorf("%s: %t, want %t\n%s%s", what, got[0], got[1], addrs, routes)
				}
			}
		})
	}
}

// ferried is a wire from a bridge, nfbr0, to a NIC that the ferry has brought
// into a container of Docker's, where IPv6 is off.
func ferried(t *testing.T, l3 nic.Layer3) leasetest.Wire {
	t.Helper()
	w := leasetest.Wire{Server: netnstest.New(t), Client: netnstest.New(t)}
	for _, s := range []struct {
		ns         *netns.Namespace
		value      string
		scope, key string
	}{
		{w.Client, "1", "all", "disable_ipv6"},
		{w.Client, "1", "default", "disable_ipv6"},
		{w.Client, "0", "default", "accept_dad"}, // hurry
		{w.Server, "0", "default", "accept_dad"},
	} {
		if err := s.ns.SetSysctl(s.value, "ipv6", "conf", s.scope, s.key); err != nil {
			t.Fatal(err)
		}
	}
	maker, err := device.New(w.Server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { maker.Close() })
	carrier, err := ferry.New(w.Server, maker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { carrier.Close() })
	id, d := nic.NewID(), nic.Device{Kind: nic.Veth, MAC: nic.NewMAC(), Bridge: nic.Bridge{Name: "nfbr0", Owned: true}}
	if err := maker.Ensure(t.Context(), id, d); err != nil {
		t.Fatal(err)
	}
	if _, err := carrier.In(t.Context(), id, d, w.Client, ferry.NewEntry("nic0", l3, false)); err != nil {
		t.Fatal(err)
	}
	leasetest.IP(t, w.Server, "addr add fe80::66/64 dev nfbr0 nodad")
	leasetest.AwaitRunning(t, w.Server, "nfbr0")
	return w
}

// flood sends n router advertisements to the client, each with another prefix
// and a route to elsewhere, and waits until the kernel has seen them.
func flood(t *testing.T, w leasetest.Wire, n int) {
	t.Helper()
	index := leasetest.Interfaces(t, w.Server)["nfbr0"].Index
	var fd int
	err := w.Server.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
		t.Fatal(err)
	}
	before := received(t, w.Client)
	all := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(index)}
	for i := range n {
		if err := unix.Sendto(fd, advertisement(byte(i)), 0, all); err != nil {
			t.Fatal(err)
		}
	}
	for late := time.Now().Add(time.Minute); received(t, w.Client) < before+n; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%d of %d packets came through", received(t, w.Client)-before, n)
		}
	}
}

// received is how many packets came over the client's end.
func received(t *testing.T, ns *netns.Namespace) (n int) {
	t.Helper()
	out := netnstest.Run(t, ns, "cat", "/proc/thread-self/net/dev")
	for line := range strings.Lines(out) {
		var name string
		var size, packets int
		if _, err := fmt.Sscan(line, &name, &size, &packets); err == nil && name == "nic0:" {
			return packets
		}
	}
	t.Fatalf("no nic0 in:\n%s", out)
	return 0
}

// advertisement is one of RFC 4861 §4.2: a router for half an hour, a prefix
// for addresses and the link, and a route (RFC 4191). The kernel adds the
// checksum.
func advertisement(i byte) []byte {
	b := []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}
	b = append(b, 3, 4, 64, 0xc0)
	b = binary.BigEndian.AppendUint32(b, 3600)
	b = binary.BigEndian.AppendUint32(b, 3600)
	b = append(b, 0, 0, 0, 0)
	b = append(b, net.IP{0xfd, 0, 0, 0x66, 0, 0, 0, i, 0, 0, 0, 0, 0, 0, 0, 0}...)
	b = append(b, 24, 2, 48, 0)
	b = binary.BigEndian.AppendUint32(b, 3600)
	return append(b, 0xfd, 0, 0, 0x99, 0, i, 0, 0)
}
