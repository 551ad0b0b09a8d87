//go:build linux

package ferry

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

func layer3(addrs ...string) (l3 nic.Layer3) {
	for _, a := range addrs {
		p := netip.MustParsePrefix(a)
		l3.Addrs = append(l3.Addrs, p)
		l3.IPv6 = l3.IPv6 || p.Addr().Is6()
	}
	return l3
}

func via(to, hop string) nic.Route {
	r := nic.Route{To: netip.MustParsePrefix(to)}
	if hop != "" {
		r.Via = netip.MustParseAddr(hop)
	}
	return r
}

func withDefault(l3 nic.Layer3, gateways ...string) nic.Layer3 {
	l3.DefaultRoute = true
	for _, gw := range gateways {
		l3.Gateways = append(l3.Gateways, netip.MustParseAddr(gw))
	}
	return l3
}

func TestApply(t *testing.T) {
	t.Parallel()
	routed := layer3("10.1.0.2/24")
	routed.Routes = []nic.Route{via("10.2.0.0/16", "10.1.0.254"), via("10.3.0.0/16", "192.0.2.1"), via("10.4.0.0/16", "")}
	notDefault := withDefault(layer3("10.1.0.2/24"), "10.1.0.1")
	notDefault.DefaultRoute = false
	tests := []struct {
		name   string
		want   nic.Layer3
		addrs  []string
		routes []string
	}{
		{"IPv4", layer3("10.1.0.2/24"), []string{"10.1.0.2/24"}, nil},
		{"default", withDefault(layer3("10.1.0.2/24"), "10.1.0.1"), []string{"10.1.0.2/24"}, []string{"0.0.0.0/0 via 10.1.0.1"}},
		{"gateway without default", notDefault, []string{"10.1.0.2/24"}, nil},
		{
			"both families", withDefault(layer3("10.1.0.2/24", "fd01::2/64"), "10.1.0.1", "fd01::1"),
			[]string{"10.1.0.2/24", "fd01::2/64"},
			[]string{"0.0.0.0/0 via 10.1.0.1", "::/0 via fd01::1"},
		},
		{
			"gateway off link", withDefault(layer3("10.1.0.2/32", "fd01::2/128"), "192.0.2.1", "fd09::1"),
			[]string{"10.1.0.2/32", "fd01::2/128"},
			[]string{"192.0.2.1/32 on-link", "0.0.0.0/0 via 192.0.2.1", "fd09::1/128 on-link", "::/0 via fd09::1"},
		},
		{"link-local gateway", withDefault(layer3("fd01::2/64"), "fe80::1"), []string{"fd01::2/64"}, []string{"::/0 via fe80::1"}},
		{"routes", routed, []string{"10.1.0.2/24"}, []string{
			"10.2.0.0/16 via 10.1.0.254", "192.0.2.1/32 on-link", "10.3.0.0/16 via 192.0.2.1", "10.4.0.0/16 on-link",
		}},
		{"nothing", nic.Layer3{}, nil, nil},
	}
	w := newWorld(t)
	l := w.in(w.make(nic.Veth, 0), "eth0", true)
	for _, tt := range tests { // one after the other on one link: each replaces the last
		t.Run(tt.name, func(t *testing.T) {
			w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, tt.want))
			w.layer3Is(t, l, tt.addrs, tt.routes)
			before := w.messages(l, tt.want)
			if before.Writes != 0 {
				t.Errorf("applying the same again took %d writes", before.Writes)
			}
		})
	}
}

// messages counts what applying costs.
func (w *world) messages(l link.Link, want nic.Layer3) link.Messages {
	w.Helper()
	h, err := link.Open(w.inside)
	w.ok(err)
	defer h.Close()
	w.ok(applyAddrs(h, l, want))
	w.ok(applyRoutes(h, l, want))
	return h.Messages()
}

func (w *world) layer3Is(t *testing.T, l link.Link, addrs, routes []string) {
	t.Helper()
	have, err := w.links.Addrs(l)
	w.ok(err)
	var got []string
	for _, a := range have {
		if a.Global {
			got = append(got, a.Prefix.String())
		}
	}
	sameSet(t, "addresses", got, addrs)
	there, err := w.links.Routes(l)
	w.ok(err)
	got = nil
	for _, r := range there {
		if !r.Kernel {
			got = append(got, r.String())
		}
	}
	sameSet(t, "routes", got, routes)
}

func sameSet(t *testing.T, what string, got, want []string) {
	t.Helper()
	left := map[string]int{}
	for _, s := range got {
		left[s]++
	}
	for _, s := range want {
		left[s]--
	}
	for s, n := range left {
		if n != 0 {
			t.Errorf("%s: got %q, want %q (%s)", what, got, want, s)
			return
		}
	}
}

// What somebody else set on our link goes, as far as it is global; what the
// kernel set stays.
func TestApplyRemovesWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.in(w.make(nic.Veth, 0), "eth0", true)
	want := withDefault(layer3("10.1.0.3/24", "fd01::3/64"), "10.1.0.1")
	for _, args := range [][]string{
		{"addr", "add", "10.1.0.2/24", "dev", "eth0"}, // the subnet's first: ours would go with it
		{"addr", "add", "10.1.0.3/24", "dev", "eth0"},
		{"addr", "add", "fd01::2/64", "dev", "eth0"},
		{"addr", "add", "169.254.7.7/16", "dev", "eth0", "scope", "link"},
		{"route", "add", "default", "via", "10.1.0.9", "metric", "50"},
		{"route", "add", "10.9.0.0/16", "via", "10.1.0.9"},
	} {
		w.run(w.inside, args...)
	}
	w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, want))
	w.layer3Is(t, l, []string{"10.1.0.3/24", "fd01::3/64"}, []string{"0.0.0.0/0 via 10.1.0.1"})
	if out := w.run(w.inside, "addr", "show", "dev", "eth0"); !strings.Contains(out, "169.254.7.7/16") {
		t.Errorf("the link-local address is gone:\n%s", out)
	}
}

func TestApplyRefusesMixedFamilies(t *testing.T) {
	t.Parallel()
	for _, r := range []nic.Route{via("10.0.0.0/8", "fd01::1"), via("fd00::/8", "10.0.0.1"), {}} {
		if got, err := routesOf(nic.Layer3{Routes: []nic.Route{r}}); err == nil {
			t.Errorf("%+v was accepted as %v", r, got)
		}
	}
}

// The kernel's duplicate address detection stays on, and we tell what it finds.
func TestDuplicateIPv6AddressIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	w.run(w.host, "addr", "add", "fd01::2/64", "dev", "nfbr0", "nodad")
	l := w.in(n, "eth0", true)
	deadline := time.Now().Add(time.Minute) // detection takes up to two seconds
	var err error
	for err == nil && time.Now().Before(deadline) {
		err = w.ferry.Apply(t.Context(), w.inside, l.Index, layer3("fd01::2/64"))
		time.Sleep(20 * time.Millisecond) // the kernel's own clock; there is nothing to wake us in this test
	}
	if !errors.Is(err, ErrAddressTaken) {
		t.Errorf("got %v, want ErrAddressTaken", err)
	}
}

// An address that comes along with a move is in use at once; any other waits for
// the kernel's check.
func TestAnOwnIPv6AddressDoesNotWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	l := w.in(n, "eth0", true)
	l3 := layer3("fd01::2/64", "fd01::3/64")
	l3.Own = l3.Addrs[:1]
	w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, l3))
	for _, line := range strings.Split(w.run(w.inside, "-o", "addr", "show", "dev", "eth0"), "\n") {
		tentative := strings.Contains(line, "tentative")
		if strings.Contains(line, "fd01::2/") && tentative || strings.Contains(line, "fd01::3/") && !tentative {
			t.Errorf("right after it was set: %s", line)
		}
	}
}
