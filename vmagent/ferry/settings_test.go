//go:build linux

package ferry

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

func TestSettingsByMode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		entry Entry
		want  map[string]string
	}{
		{Entry{}, map[string]string{"accept_ra": "0", "autoconf": "0", "disable_ipv6": "1"}},
		{Entry{IPv6: true}, map[string]string{
			"accept_ra": "0", "autoconf": "0", "disable_ipv6": "0", "accept_redirects": "0", "use_tempaddr": "0",
		}},
		{
			Entry{IPv6: true, IPv6Mode: nic.IPv6SLAAC, DefaultRoute: true},
			map[string]string{
				"accept_ra": "1", "autoconf": "1", "accept_ra_pinfo": "1", "accept_ra_defrtr": "1", "disable_ipv6": "0",
				"accept_ra_rt_info_max_plen": "0", "accept_redirects": "0",
			},
		},
		{
			Entry{IPv6: true, IPv6Mode: nic.IPv6DHCP},
			map[string]string{
				"accept_ra": "1", "autoconf": "0", "accept_ra_pinfo": "1", "accept_ra_defrtr": "0", "disable_ipv6": "0",
				"accept_ra_rt_info_max_plen": "0", "accept_redirects": "0", "use_tempaddr": "0",
			},
		},
		{Entry{IPv6Mode: nic.IPv6SLAAC}, map[string]string{"accept_ra": "0", "autoconf": "0", "disable_ipv6": "1"}},
		{Entry{IPv6: true, IPv6Mode: "newer"}, map[string]string{"accept_ra": "0", "autoconf": "0", "disable_ipv6": "0"}},
	}
	w := newWorld(t)
	adopted := w.make(nic.Veth, 0)
	for _, tt := range tests { // on a NIC that arrives, and on one that is there
		n := w.make(nic.Veth, 0)
		for name, n := range map[string]made{"eth0": n, "eth1": adopted} {
			tt.entry.Name = name
			for key, foreign := range map[string]string{"accept_redirects": "1", "use_tempaddr": "2", "accept_ra_rt_info_max_plen": "64"} {
				w.ok(w.inside.SetSysctl(foreign, "ipv6", "conf", "default", key))
			}
			_, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, tt.entry)
			w.ok(err)
			for key, want := range tt.want {
				if got, err := w.inside.Sysctl("ipv6", "conf", name, key); got != want || err != nil {
					t.Errorf("%+v: %s is %q, %v; want %s", tt.entry, key, got, err, want)
				}
			}
		}
		w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
	}
}

// S7: what a router advertises gives addresses and routes where the
// network says so, and only there.
func TestS7_RouterAdvertisements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		mode               nic.IPv6Mode
		defaultRoute       bool
		wantAddr, wantHops bool
	}{
		{"slaac", nic.IPv6SLAAC, true, true, true},
		{"slaac, another NIC has the default route", nic.IPv6SLAAC, false, true, false},
		{"dhcp", nic.IPv6DHCP, true, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n, deaf := w.make(nic.Veth, 0), w.make(nic.Veth, 0)
			for key, value := range map[string]string{ // hurry
				"dad_transmits": "0", "router_solicitation_delay": "0", "router_solicitation_interval": "1",
			} {
				w.ok(w.inside.SetSysctl(value, "ipv6", "conf", "default", key))
			}
			w.ok(w.host.SetSysctl("0", "ipv6", "conf", "nfbr0", "dad_transmits"))
			w.run(w.host, "link", "set", "nfbr0", "addrgenmode", "eui64", "down")
			w.run(w.host, "link", "set", "nfbr0", "up")
			w.run(w.host, "addr", "add", "fd05::1/64", "dev", "nfbr0", "nodad")
			start(t, w.host, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--port=0",
				"--user=root", "--interface=nfbr0", "--enable-ra", "--ra-param=nfbr0,4,600", "--dhcp-range=fd05::,ra-only,64,600")
			want := layer3("10.1.0.2/24", "fd07::2/64")
			want.IPv6Mode, want.DefaultRoute = tt.mode, tt.defaultRoute
			w.in(deaf, "eth1", true)
			l, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, NewEntry("eth0", want, false))
			w.ok(err)
			// The prefix of the link is advertised in each mode, so it says when.
			w.await("the advertised prefix", func() bool { return w.advertised(l).prefix })
			if tt.wantAddr {
				w.await("an address", func() bool { return w.advertised(l).addr })
			}
			for range 2 {
				w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, want))
				got := w.advertised(l)
				if got.addr != tt.wantAddr || got.hops != tt.wantHops || !got.prefix {
					t.Errorf("applied: %+v; want address %t, default route %t", got, tt.wantAddr, tt.wantHops)
				}
			}
			if got := w.advertised(w.at(w.links, "eth1")); got != (advertisedState{}) {
				t.Errorf("the NIC that heeds none has %+v", got)
			}
			want.IPv6Mode = nic.IPv6Subnets
			_, err = w.ferry.In(t.Context(), n.id, n.d, w.inside, NewEntry("eth0", want, false))
			w.ok(err)
			w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, want))
			if got := w.advertised(l); got != (advertisedState{}) {
				t.Errorf("with the mode off: %+v", got)
			}
			if addrs, err := w.links.Addrs(l); err != nil || !slices.ContainsFunc(addrs, func(a link.Addr) bool {
				return a.Prefix == netip.MustParsePrefix("fd07::2/64")
			}) {
				t.Errorf("the static address is gone: %+v, %v", addrs, err)
			}
		})
	}
}

type advertisedState struct{ addr, prefix, hops bool }

func (w *world) advertised(l link.Link) (s advertisedState) {
	w.Helper()
	addrs, err := w.links.Addrs(l)
	w.ok(err)
	routes, err := w.links.Routes(l)
	w.ok(err)
	prefix := netip.MustParsePrefix("fd05::/64")
	for _, a := range addrs {
		s.addr = s.addr || prefix.Contains(a.Prefix.Addr())
	}
	for _, r := range routes {
		s.prefix = s.prefix || r.To == prefix
		s.hops = s.hops || r.To.Bits() == 0 && r.Via.Is6()
	}
	return s
}

// await asks until ok; the kernel wakes nobody for what a router says.
func (w *world) await(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("%s did not come", what)
		}
	}
}
