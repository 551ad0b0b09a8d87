//go:build linux

package etc

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
)

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestMerge(t *testing.T) {
	t.Parallel()
	nics := []NIC{
		{Interface: "eth0", Addrs: prefixes("10.1.0.5/24"), DNS: []nic.DNS{{Servers: addrs("10.1.0.1", "10.77.0.1"), Search: []string{"storage.example", "LAB.example"}}}},
		{
			Interface: "eth1", DefaultRoute: true, Addrs: prefixes("10.77.0.5/24", "fd77::5/64", "fe80::5/64", "10.1.0.5/24"),
			DNS: []nic.DNS{{Servers: addrs("::ffff:10.77.0.1"), Search: []string{"lab.example"}}, {Servers: addrs("10.77.0.2"), Search: []string{"dhcp.example"}}},
		},
		{Interface: "eth2", DNS: []nic.DNS{{Servers: addrs("10.2.0.1")}}},
	}
	names := []string{"db.lab.example", "db"}
	want := Wanted{
		Servers: addrs("10.77.0.1", "10.77.0.2", "10.1.0.1"),
		Search:  []string{"lab.example", "dhcp.example", "storage.example"},
		Hosts: []Host{
			{netip.MustParseAddr("10.77.0.5"), names},
			{netip.MustParseAddr("fd77::5"), names},
			{netip.MustParseAddr("10.1.0.5"), names},
		},
	}
	for range 2 {
		if got := Merge("db", "lab.example", nics); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		nics[0], nics[2] = nics[2], nics[0] // the order given is none
	}
	if got := Merge("", "", nics); got.Hosts != nil || len(got.Servers) != 3 {
		t.Errorf("without a name: %+v", got)
	}
	if got := Merge("db", "", nil); !reflect.DeepEqual(got, Wanted{}) {
		t.Errorf("without NICs: %+v", got)
	}
}

// What Merge makes of any number of servers and domains, Apply takes.
func TestMergeKeepsWithinWhatFits(t *testing.T) {
	t.Parallel()
	var dns nic.DNS
	addr := netip.MustParseAddr("10.0.0.1")
	var all []netip.Prefix
	for n := range 100 {
		dns.Servers = append(dns.Servers, addr)
		dns.Search = append(dns.Search, strings.Repeat("x", n%60+1)+".example")
		all = append(all, netip.PrefixFrom(addr, 24))
		addr = addr.Next()
	}
	slices.Reverse(dns.Search)
	w := Merge("db", "", []NIC{{Interface: "eth0", DNS: []nic.DNS{dns}, Addrs: all}})
	if len(w.Servers) != MaxServers || len(w.Search) == 0 || len(w.Hosts) != maxHosts {
		t.Errorf("%d servers, %d domains, %d hosts", len(w.Servers), len(w.Search), len(w.Hosts))
	}
	mustApply(t, files(t), w, true)
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		hostname, domainname string
		want                 []string
	}{
		{"db", "", []string{"db"}},
		{"db", "lab.example", []string{"db.lab.example", "db"}},
		{"db.lab.example", "", []string{"db.lab.example", "db"}},
		{"db.lab", "example", []string{"db.lab.example", "db.lab"}},
		{".db", "", []string{".db"}},
		{"", "lab.example", nil},
	} {
		if got := hostNames(tt.hostname, tt.domainname); !slices.Equal(got, tt.want) {
			t.Errorf("%q, %q: got %q, want %q", tt.hostname, tt.domainname, got, tt.want)
		}
	}
}
