package dhcp

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestS9_RoutesByPolicy(t *testing.T) {
	router := dhcpv4.OptRouter(net.IPv4(10, 1, 0, 254))
	for name, test := range map[string]struct {
		options []dhcpv4.Option
		router  string
		routes  []string
		notes   []string
	}{
		"classless": {
			[]dhcpv4.Option{router, raw(121, 24, 192, 0, 2, 10, 1, 0, 9, 0, 10, 1, 0, 1)},
			"10.1.0.1",
			[]string{"192.0.2.0/24 10.1.0.9"},
			nil,
		},
		"classless without a default: none": {
			[]dhcpv4.Option{router, raw(121, 24, 192, 0, 2, 10, 1, 0, 9)},
			"invalid IP",
			[]string{"192.0.2.0/24 10.1.0.9"},
			nil,
		},
		"classless wins": {
			[]dhcpv4.Option{router, raw(33, 8, 8, 8, 8, 10, 1, 0, 9), raw(249, 8, 11, 10, 1, 0, 9), raw(121, 8, 12, 10, 1, 0, 9)},
			"invalid IP",
			[]string{"12.0.0.0/8 10.1.0.9"},
			[]string{"option 249: 6 bytes of routes ignored", "option 33: 8 bytes of routes ignored"},
		},
		"of Microsoft": {
			[]dhcpv4.Option{router, raw(249, 8, 11, 10, 1, 0, 9)}, "invalid IP", []string{"11.0.0.0/8 10.1.0.9"}, nil,
		},
		"of old, by class": {
			[]dhcpv4.Option{router, raw(33, slices.Concat(
				[]byte{11, 0, 0, 0, 10, 1, 0, 9}, []byte{172, 16, 0, 0, 10, 1, 0, 9}, []byte{192, 0, 2, 0, 10, 1, 0, 9},
				[]byte{8, 8, 8, 8, 10, 1, 0, 9}, []byte{0, 0, 0, 0, 10, 1, 0, 9})...)},
			"10.1.0.254",
			[]string{"11.0.0.0/8 10.1.0.9", "172.16.0.0/16 10.1.0.9", "192.0.2.0/24 10.1.0.9", "8.8.8.8/32 10.1.0.9"},
			[]string{"route to 0.0.0.0/8 by 10.1.0.9 ignored: no host has such an address"},
		},
		"malformed: the others count": {
			[]dhcpv4.Option{router, raw(121, 33, 1, 2, 3, 4, 5, 10, 1, 0, 9), raw(33, 8, 8, 8, 8, 10, 1, 0, 9)},
			"10.1.0.254",
			[]string{"8.8.8.8/32 10.1.0.9"},
			[]string{"option 121 ignored: route 1 is malformed"},
		},
		"cut short": {
			[]dhcpv4.Option{router, raw(121, 8, 12, 10, 1, 0, 9, 24, 192, 0)},
			"10.1.0.254", nil,
			[]string{"option 121 ignored: route 2 is malformed"},
		},
		"odd pairs": {
			[]dhcpv4.Option{router, raw(33, 8, 8, 8, 8, 10, 1, 0)},
			"10.1.0.254", nil,
			[]string{"option 33 ignored: 7 bytes are not pairs of addresses"},
		},
		"host bits are dropped": {
			[]dhcpv4.Option{raw(121, 20, 172, 16, 255, 10, 1, 0, 9)}, "invalid IP", []string{"172.16.240.0/20 10.1.0.9"}, nil,
		},
		"halves of the world": { // CVE-2024-3661, but here the policy trusts the server
			[]dhcpv4.Option{raw(121, 1, 0, 10, 1, 0, 9, 1, 128, 10, 1, 0, 9)},
			"invalid IP",
			[]string{"0.0.0.0/1 10.1.0.9", "128.0.0.0/1 10.1.0.9"},
			nil,
		},
	} {
		lease, err := ParseACK(ack(test.options...), sentAt, true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var routes []string
		for _, r := range lease.Routes {
			routes = append(routes, fmt.Sprintf("%s %s", r.To, r.Via))
		}
		if lease.Router.String() != test.router || !slices.Equal(routes, test.routes) || !slices.Equal(lease.Notes, test.notes) {
			t.Errorf("%s: router %s, routes %q, notes %q", name, lease.Router, routes, lease.Notes)
		}
	}
}

// S9: also where the policy takes routes, each must make sense.
func TestS9_UnsoundRoutesAreLeftOut(t *testing.T) {
	for why, value := range map[string][]byte{
		"no host has such an address":                      {4, 0xe0, 10, 1, 0, 9},
		"127.0.0.0/8 by 10.1.0.9":                          {8, 127, 10, 1, 0, 9},
		"0.0.0.0/8 by 10.1.0.9":                            {8, 0, 10, 1, 0, 9},
		"it is the NIC's own subnet":                       {16, 10, 1, 10, 1, 0, 9},
		"destinations on the link itself are not taken":    {8, 12, 0, 0, 0, 0},
		"by 10.9.0.9 ignored: not a neighbour":             {8, 12, 10, 9, 0, 9},
		"by 10.1.2.3 ignored: not a neighbour":             {8, 12, 10, 1, 2, 3},
		"by 255.255.255.255 ignored: not a neighbour":      {8, 12, 255, 255, 255, 255},
		"0.0.0.0/0 by 10.9.0.9 ignored: not a neighbour":   {0, 10, 9, 0, 9},
		"0.0.0.0/0 by 127.0.0.1 ignored: not a neighbour ": {0, 127, 0, 0, 1},
	} {
		lease, err := ParseACK(ack(raw(121, value...)), sentAt, true)
		if err != nil || len(lease.Routes) > 0 || lease.Router.IsValid() || len(lease.Notes) != 1 || !strings.Contains(lease.Notes[0], why) {
			t.Errorf("%s: %+v, %v", why, lease, err)
		}
	}
	twice := slices.Concat([]byte{8, 12, 10, 1, 0, 9}, []byte{8, 12, 10, 1, 0, 8}, []byte{0, 10, 1, 0, 9}, []byte{0, 10, 1, 0, 8})
	lease, err := ParseACK(ack(raw(121, twice...)), sentAt, true)
	if err != nil || len(lease.Routes) != 1 || lease.Routes[0].Via.String() != "10.1.0.9" || lease.Router.String() != "10.1.0.9" || len(lease.Notes) != 2 {
		t.Errorf("twice: %+v, %v", lease, err)
	}
}

func TestRoutesAreBounded(t *testing.T) {
	var value []byte
	for i := range 200 {
		value = append(value, 32, 8, 8, 8, byte(i), 10, 1, 0, 9)
	}
	lease, err := ParseACK(ack(raw(121, value...)), sentAt, true)
	if err != nil || len(lease.Routes) != maxRoutes || !slices.Contains(lease.Notes, "routes after the first 64 ignored") {
		t.Errorf("%d routes, notes %q, %v; want %d", len(lease.Routes), lease.Notes, err, maxRoutes)
	}
}
