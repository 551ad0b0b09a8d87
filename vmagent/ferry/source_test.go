//go:build linux

package ferry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

func withSource(l3 nic.Layer3) nic.Layer3 {
	l3.SourceRoutes = true
	return l3
}

// Two NICs, and a far client that speaks to the one without the default route.
func TestRepliesLeaveByTheNICTheyCameInOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.inside.SetSysctl("0", "ipv6", "conf", "default", "dad_transmits")) // hurry
	first, second := w.make(nic.Veth, 0), w.make(nic.Veth, 0)
	eth0, eth1 := w.in(first, "eth0", true), w.in(second, "eth1", true)
	for _, a := range []string{"10.1.0.1/24", "10.2.0.1/24", "10.9.0.1/32", "fd01::1/64", "fd02::1/64", "fd09::1/128"} {
		w.run(w.host, "addr", "add", a, "dev", "nfbr0", "nodad")
	}
	w.run(w.inside, "rule", "add", "from", "10.77.0.1", "lookup", "77")
	w.run(w.inside, "route", "add", "10.77.0.0/16", "dev", "eth1", "table", "77")
	for _, scope := range []string{"all", "eth1"} { // as many distributions have it
		w.ok(w.inside.SetSysctl("1", "ipv4", "conf", scope, "rp_filter"))
	}
	one := withSource(withDefault(layer3("10.1.0.2/24", "fd01::2/64"), "10.1.0.1", "fd01::1"))
	two := withSource(withDefault(layer3("10.2.0.2/24", "fd02::2/64"), "10.2.0.1", "fd02::1"))
	two.DefaultRoute = false
	for range 2 {
		w.ok(w.ferry.Apply(t.Context(), w.inside, eth0.Index, one))
		w.ok(w.ferry.Apply(t.Context(), w.inside, eth1.Index, two))
	}
	for from, dev := range map[string]string{"10.1.0.2": "eth0", "10.2.0.2": "eth1", "fd01::2": "eth0", "fd02::2": "eth1"} {
		to := "10.9.0.1"
		if strings.Contains(from, ":") {
			to = "fd09::1"
		}
		if out := w.run(w.inside, "route", "get", to, "from", from); !strings.Contains(out, " dev "+dev+" ") {
			t.Errorf("from %s: %s; want by %s", from, out, dev)
		}
		netnstest.Run(t, w.host, "ping", "-c", "1", "-W", "5", "-I", to, from)
	}
	if m := w.ruleMessages(eth1, two); m.Writes != 0 {
		t.Errorf("applying the same rules again took %+v", m)
	}
	// Addresses come and go.
	two.Addrs = layer3("10.2.0.3/24").Addrs
	two.Gateways = two.Gateways[:1]
	w.ok(w.ferry.Apply(t.Context(), w.inside, eth1.Index, two))
	w.rulesAre(eth0.Index, "10.1.0.2", "fd01::2")
	w.rulesAre(eth1.Index, "10.2.0.3")
	w.ok(w.ferry.Out(t.Context(), second.id, second.d, w.inside))
	w.rulesAre(eth0.Index, "10.1.0.2", "fd01::2")
	w.rulesAre(eth1.Index)
	one.SourceRoutes = false
	w.ok(w.ferry.Apply(t.Context(), w.inside, eth0.Index, one))
	w.rulesAre(eth0.Index)
	if out := w.run(w.inside, "rule"); !strings.Contains(out, "from 10.77.0.1 lookup 77") {
		t.Errorf("the container's own rule is gone:\n%s", out)
	}
}

// rulesAre checks the rules to a link's table, and that it is empty without.
func (w *world) rulesAre(index int, sources ...string) {
	w.Helper()
	rules, err := w.links.Rules()
	w.ok(err)
	var got []string
	for _, r := range rules {
		if r.Table == sourceTable(index) {
			got = append(got, r.From.Addr().String())
		}
	}
	sameSet(w.T, "sources", got, sources)
	if len(sources) > 0 {
		return
	}
	for _, family := range []string{"-4", "-6"} {
		table := fmt.Sprint(sourceTable(index))
		if out := w.run(w.inside, family, "route", "show", "table", "all"); strings.Contains(out, table) {
			w.Errorf("table %s is not empty:\n%s", table, out)
		}
	}
}

func (w *world) ruleMessages(l link.Link, want nic.Layer3) link.Messages {
	w.Helper()
	h, err := link.Open(w.inside)
	w.ok(err)
	defer h.Close()
	w.ok(applyRoutes(h, l, want))
	w.ok(applyRules(h, l, want))
	return h.Messages()
}

// Two NICs on one wire and in one subnet: each answers for its own address.
func TestEachNICAnswersForItsOwnAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(w.host, "link", "add", "nfbr0", "type", "bridge") // ours would do; but it wants an address first
	w.run(w.host, "link", "set", "nfbr0", "up")
	w.run(w.host, "addr", "add", "10.1.0.1/24", "dev", "nfbr0")
	for i := range 2 {
		n := made{nic.NewID(), nic.Device{Kind: nic.Veth, MAC: nic.NewMAC(), Bridge: nic.Bridge{Name: "nfbr0"}}}
		w.ok(w.maker.Ensure(t.Context(), n.id, n.d))
		l := w.in(n, fmt.Sprintf("eth%d", i), false)
		addr := fmt.Sprintf("10.1.0.%d", i+2)
		w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, withSource(withDefault(layer3(addr+"/24"), "10.1.0.1"))))
		netnstest.Run(t, w.host, "ping", "-c", "1", "-W", "5", addr)
		if out := w.run(w.host, "neigh", "show", addr); !strings.Contains(out, n.d.MAC.String()) {
			t.Errorf("%s is at %s, want %s", addr, out, n.d.MAC)
		}
	}
}

// Rules outlive their NIC when that dies or is taken away by somebody else.
func TestRulesOfANICThatLeftAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	l := w.in(n, "eth0", false)
	w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, withSource(withDefault(layer3("10.1.0.2/24"), "10.1.0.1"))))
	w.rulesAre(l.Index, "10.1.0.2")
	w.run(w.inside, "link", "del", "eth0")
	for range 2 {
		w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
		w.rulesAre(l.Index)
	}
}

// A lease is renewed with another address and gateway, and with routes that would
// lead to the metadata service: what leads to the NIC's table follows, on that NIC
// alone, and nobody gets past the blackholes.
func TestRulesFollowALease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	eth0, eth1 := w.in(w.make(nic.Veth, 0), "eth0", true), w.in(w.make(nic.Veth, 0), "eth1", true)
	static := withSource(withDefault(layer3("10.1.0.2/24", "fd01::2/64"), "10.1.0.1", "fd01::1"))
	w.ok(w.ferry.Apply(t.Context(), w.inside, eth0.Index, static))
	leases := []nic.Layer3{
		withSource(withDefault(layer3("10.2.0.2/24", "fd02::2/64"), "10.2.0.1", "fe80:ec2::1")),
		withSource(withDefault(layer3("10.3.0.9/20", "fd03::9/64"), "10.3.0.1", "fe80:ec2::1")),
	}
	for i, lease := range leases {
		lease.DefaultRoute, lease.DHCPRoutes = false, true
		lease.Routes = []nic.Route{via("169.254.169.254/32", lease.Gateways[0].String()), via("169.254.0.0/16", lease.Gateways[0].String())}
		for range 2 {
			w.ok(w.ferry.Apply(t.Context(), w.inside, eth1.Index, lease))
		}
		w.rulesAre(eth0.Index, "10.1.0.2", "fd01::2")
		w.rulesAre(eth1.Index, lease.Addrs[0].Addr().String(), lease.Addrs[1].Addr().String())
		table := w.run(w.inside, "route", "show", "table", fmt.Sprint(sourceTable(eth1.Index)))
		if other := leases[1-i].Gateways[0].String() + " "; strings.Contains(table, other) || strings.Count(table, "default") != 1 {
			t.Errorf("lease %d: the NIC's table is\n%s", i, table)
		}
		for _, index := range []int{eth0.Index, eth1.Index} {
			sameSet(t, "blackholes", w.holes(sourceTable(index)), allMetadata)
		}
		sameSet(t, "blackholes", w.holes(mainTable), allMetadata)
	}
}
