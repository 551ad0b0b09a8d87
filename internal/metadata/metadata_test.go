package metadata_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/nic"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, service := newModel(imds.Options{})
		c, asked := newClient(t, service.Handler(self), nil)
		want := metadata.Identity{Instance: self, Type: "m5.large", Region: "eu-central-1", Zone: "eu-central-1a", Account: "111122223333"}
		for range 3 {
			if got, err := c.Identity(t.Context()); got != want || err != nil {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
		if got := asked.take(); !slices.Equal(got, []string{"PUT /latest/api/token", "GET /latest/dynamic/instance-identity/document"}) {
			t.Errorf("asked %q: an instance stays what it is", got)
		}
	})
}

func TestInterfaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, service := newModel(imds.Options{})
		full := newNIC("eni-11", 0x11, 1)
		full.Cards, full.Interface.Attachment.Card = 2, 1
		full.Subnet.CIDR6 = netip.MustParsePrefix("2001:db8::/64")
		full.Interface.IPv4 = append(full.Interface.IPv4, cloudsim.PrivateIP{Addr: netip.MustParseAddr("10.0.1.99")})
		full.Interface.IPv6 = []netip.Addr{netip.MustParseAddr("2001:db8::5")}
		full.Interface.IPv4Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.1.32/28")}
		full.Interface.IPv6Prefixes = []netip.Prefix{netip.MustParsePrefix("2001:db8::1:0:0:0/80")}
		m.set(func(g *cloudsim.Guest) { g.Interfaces = append([]cloudsim.GuestInterface{full}, g.Interfaces...) })
		c, _ := newClient(t, service.Handler(self), nil)
		got, err := c.Interfaces(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []metadata.Interface{
			{
				MAC: nic.MAC{2, 0, 0, 0, 0, 0x10}, ID: "eni-10", Subnet: "subnet-1",
				Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")}, IPv4s: []netip.Addr{netip.MustParseAddr("10.0.1.16")},
			},
			{
				MAC: nic.MAC{2, 0, 0, 0, 0, 0x11}, ID: "eni-11", Device: 1, Card: 1, Subnet: "subnet-1",
				Subnets:  []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("2001:db8::/64")},
				IPv4s:    []netip.Addr{netip.MustParseAddr("10.0.1.17"), netip.MustParseAddr("10.0.1.99")},
				IPv6s:    []netip.Addr{netip.MustParseAddr("2001:db8::5")},
				Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.1.32/28"), netip.MustParsePrefix("2001:db8::1:0:0:0/80")},
			},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
	})
}

// NICs are asked for again after a while; a failure is not kept.
func TestInterfacesAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, service := newModel(imds.Options{})
		c, asked := newClient(t, service.Handler(self), func(o *metadata.Options) { o.Keep = time.Minute })
		count := func() int {
			t.Helper()
			nics, err := c.Interfaces(t.Context())
			if err != nil {
				t.Error(err)
			}
			return len(nics)
		}
		if n := count(); n != 1 {
			t.Fatalf("%d NICs, want 1", n)
		}
		m.set(func(g *cloudsim.Guest) { g.Interfaces = append(g.Interfaces, newNIC("eni-11", 0x11, 1)) })
		asked.take()
		time.Sleep(time.Minute - 1)
		if n := count(); n != 1 || len(asked.take()) != 0 {
			t.Errorf("%d NICs before the minute is over, want the same as before, without a question", n)
		}
		time.Sleep(time.Nanosecond)
		if err := service.Inject(imds.Fault{Verb: imds.Off, Count: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Interfaces(t.Context()); !errors.Is(err, metadata.ErrRefused) {
			t.Errorf("%v, want a refusal", err)
		}
		if n := count(); n != 2 {
			t.Errorf("%d NICs, want 2", n)
		}
	})
}

// A NIC on its way in or out, of which not all is told, is left out.
func TestInterfaceThatIsNotWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const dir = "/latest/meta-data/network/interfaces/macs/"
		c, _ := newClient(t, says(map[string]string{
			dir:                                     "02:00:00:00:00:01/\n02:00:00:00:00:02/\n02:00:00:00:00:03/\n",
			dir + "02:00:00:00:00:01/device-number": "1",
			dir + "02:00:00:00:00:02/interface-id":  "eni-2",
			dir + "02:00:00:00:00:03/interface-id":  "eni-3\n",
			dir + "02:00:00:00:00:03/device-number": "3",
		}), nil)
		got, err := c.Interfaces(t.Context())
		if err != nil || len(got) != 1 || got[0].ID != "eni-3" || got[0].Device != 3 {
			t.Errorf("%+v, %v; want eni-3 alone", got, err)
		}
	})
}

// A token is taken anew before it ends, and once when it is not accepted.
func TestTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, service := newModel(imds.Options{})
		c, asked := newClient(t, service.Handler(self), nil)
		puts := func() (n int) {
			t.Helper()
			if _, err := c.Interfaces(t.Context()); err != nil {
				t.Error(err)
			}
			for _, line := range asked.take() {
				if strings.HasPrefix(line, "PUT") {
					n++
				}
			}
			return n
		}
		for _, step := range []struct {
			wait   time.Duration
			forget int // so many reads are answered with 401
			want   int
		}{{0, 0, 1}, {4 * time.Minute, 0, 0}, {time.Minute, 0, 1}, {time.Minute, 1, 1}, {time.Minute, 0, 0}} {
			time.Sleep(step.wait)
			if step.forget > 0 {
				if err := service.Inject(imds.Fault{Verb: imds.Forget, Path: "/latest/meta-data", Count: step.forget}); err != nil {
					t.Fatal(err)
				}
			}
			if n := puts(); n != step.want {
				t.Errorf("%+v: %d tokens", step, n)
			}
		}
		if err := service.Inject(imds.Fault{Verb: imds.Forget, Path: "/latest/meta-data"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		_, err := c.Interfaces(t.Context())
		if !errors.Is(err, metadata.ErrRefused) || !strings.Contains(err.Error(), "401") {
			t.Errorf("a second 401: %v", err)
		}
		if got := asked.take(); len(got) != 3 {
			t.Errorf("asked %q, want one token more and no loop", got)
		}
	})
}

func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, service := newModel(imds.Options{})
		c, asked := newClient(t, service.Handler(self), func(o *metadata.Options) { o.Keep = time.Hour })
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if _, err := c.Identity(t.Context()); err != nil {
					t.Error(err)
				}
				if nics, err := c.Interfaces(t.Context()); len(nics) != 1 || err != nil {
					t.Errorf("%v, %v", nics, err)
				}
			})
		}
		wg.Wait()
		if got := asked.take(); len(got) > 13 { // a token, a document, a list and ten items
			t.Errorf("%d requests, want one round: %q", len(got), got)
		}
	})
}

func TestRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		role := ""
		_, service := newModel(imds.Options{Role: func(string) string { return role }})
		c, asked := newClient(t, service.Handler(self), nil)
		for _, role = range []string{"", "web-role"} {
			if got, err := c.Role(t.Context()); got != role || err != nil {
				t.Errorf("%q, %v; want %q", got, err, role)
			}
		}
		for _, line := range asked.take() {
			if strings.Contains(line, "web-role") {
				t.Errorf("the role's keys were asked for: %s", line)
			}
		}
		c, _ = newClient(t, says(map[string]string{"/latest/meta-data/iam/security-credentials/": "<html>no</html>"}), nil)
		if got, err := c.Role(t.Context()); got != "" || !errors.Is(err, metadata.ErrStrange) {
			t.Errorf("a page for a role: %q, %v", got, err)
		}
	})
}

func TestAddressesOfTheService(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"": true, "http://127.0.0.1:8080": true, "http://127.0.0.1:8080/": true, "http://[fd00:ec2::254]": true, "https://x": true,
		"169.254.169.254": false, "ftp://x": false, "http://": false, "http://x/latest": false, "http://x?a": false, "http://u:secret@x": false, "http://x y": false,
	} {
		c, err := metadata.New(metadata.Options{Dialect: metadata.EC2(), Log: slog.New(slog.DiscardHandler), BaseURL: address})
		if (err == nil) != ok {
			t.Errorf("%q: %v, want accepted: %v", address, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", address, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
