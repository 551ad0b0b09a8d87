//go:build linux

package vmagent_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A cloud's network as a VM's cards see it: a router in each subnet, a client far
// away, and the metadata service, which answers on any wire.
type cloudNet struct{ ns *netns.Namespace }

const farClient, farClient6 = "203.0.113.9", "2001:db8:9::9"

var metadataService = []string{"169.254.169.254", "100.100.100.200", "fd00:ec2::254"}

func newCloudNet(t *testing.T) cloudNet {
	t.Helper()
	c := cloudNet{netnstest.New(t)}
	for _, addr := range append([]string{farClient, farClient6}, metadataService...) {
		netnstest.Run(t, c.ns, "ip", "addr", "add", addr, "dev", "lo")
	}
	return c
}

// subnet makes a subnet n with its router, as a switch of the cloud.
func (c cloudNet) subnet(t *testing.T, n int) {
	t.Helper()
	name := fmt.Sprintf("subnet%d", n)
	netnstest.Run(t, c.ns, "ip", "link", "add", name, "mtu", "9001", "type", "bridge")
	for _, addr := range []string{fmt.Sprintf("10.0.%d.1/24", n), fmt.Sprintf("2001:db8:%d::1/64", n), "fe80:ec2::1/64"} {
		netnstest.Run(t, c.ns, "ip", "addr", "add", addr, "dev", name, "nodad")
	}
	netnstest.Run(t, c.ns, "ip", "link", "set", name, "up")
}

// attach has a card of subnet n come up in the VM.
func (c cloudNet) attach(t *testing.T, m *machine, name string, mac nic.MAC, mtu, n int) {
	t.Helper()
	netnstest.Run(t, c.ns, "ip", "link", "add", "port-"+name, "mtu", fmt.Sprint(mtu), "type", "veth", "peer", "name", name,
		"mtu", fmt.Sprint(mtu), "address", mac.String(), "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.host.FD()))
	netnstest.Run(t, c.ns, "ip", "link", "set", "port-"+name, "master", fmt.Sprintf("subnet%d", n), "up")
}

// anENI is a wish for a card of subnet n with the last byte of its addresses, in
// container 1.
func anENI(name string, mtu, n, last int) nic.Wanted {
	mac := nic.NewMAC()
	return nic.Wanted{
		NIC: nic.NewID(), Claim: nic.NewClaimID(), Epoch: 1, Network: "cloud", Container: "c0001", Turn: 1,
		Device: nic.Device{Kind: nic.Found, MAC: mac, MTU: mtu},
		Owner:  nic.Owner{Node: "here", Kind: nic.OwnerContainer, Sandbox: id(1), Interface: name},
		Layer3: nic.Layer3{
			Addrs: []netip.Prefix{
				netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/24", n, last)),
				netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::%d/64", n, last)),
			},
			Gateways:     []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.%d.1", n)), netip.MustParseAddr("fe80:ec2::1")},
			DefaultRoute: name == "eth0", IPv6: true,
			DNS: nic.DNS{Servers: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, Search: []string{"ec2.internal"}},
		},
	}
}

// hostNet is what no NIC of ours may change on the host: P8.
func (m *machine) hostNet() string {
	m.t.Helper()
	return netnstest.Run(m.t, m.host, "ip", "rule") + netnstest.Run(m.t, m.host, "ip", "-6", "rule") +
		netnstest.Run(m.t, m.host, "ip", "route", "show", "table", "all") + netnstest.Run(m.t, m.host, "ip", "-br", "addr", "show", "up")
}

// Two cards that a cloud has plugged in, in one container: each has its subnet's
// gateway, replies leave by the card whose address they carry, nobody reaches the
// metadata service, and nothing of it is left afterwards.
func TestTwoENIsInOneContainer(t *testing.T) {
	for _, subnets := range [][2]int{{1, 2}, {1, 1}} {
		t.Run(fmt.Sprintf("in subnets %v", subnets), func(t *testing.T) {
			t.Parallel()
			m, cloud := newMachine(t), newCloudNet(t)
			cloud.subnet(t, 1)
			if subnets[1] != subnets[0] {
				cloud.subnet(t, subnets[1])
			}
			before := m.hostNet()
			eth0, eth1 := anENI("eth0", 9001, subnets[0], 5), anENI("eth1", 1500, subnets[1], 6)
			cloud.attach(t, m, "ens5", eth0.Device.MAC, 9001, subnets[0])
			cloud.attach(t, m, "ens6", eth1.Device.MAC, 1500, subnets[1])
			inside := m.engine.run(t, id(1), nil)
			wasInside := netnstest.Run(t, inside, "ip", "rule") + netnstest.Run(t, inside, "ip", "-6", "rule")
			resolv := m.names(id(1))
			m.Want(eth0, eth1)
			for _, w := range []nic.Wanted{eth0, eth1} {
				m.Await(t, w, nic.ObservedIn)
			}
			for _, w := range []nic.Wanted{eth0, eth1} {
				cardIs(t, inside, cloud.ns, w)
			}
			if during := m.hostNet(); during != before {
				t.Errorf("host before:\n%s\nduring:\n%s", before, during)
			}
			if text, err := os.ReadFile(resolv); err != nil || !strings.Contains(string(text), "nameserver 10.0.0.2") ||
				!strings.Contains(string(text), "search ec2.internal") {
				t.Errorf("resolv.conf, %v:\n%s", err, text)
			}
			eth0.Gone, eth1.Gone = true, true
			m.Want(eth0, eth1)
			for _, w := range []nic.Wanted{eth0, eth1} {
				m.Await(t, w, nic.ObservedClean)
			}
			if after := netnstest.Run(t, inside, "ip", "rule") + netnstest.Run(t, inside, "ip", "-6", "rule"); after != wasInside {
				t.Errorf("rules in the container before:\n%s\nafter:\n%s", wasInside, after)
			}
			if out := netnstest.Run(t, inside, "ip", "route", "show", "table", "all"); strings.Contains(out, "eth") || strings.Contains(out, "table 157") {
				t.Errorf("routes left in the container:\n%s", out)
			}
			if after := m.hostNet(); after != before {
				t.Errorf("host before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// names gives a running container its files of names, and returns resolv.conf's path.
func (m *machine) names(id string) string {
	m.t.Helper()
	dir := m.t.TempDir()
	for _, name := range []string{"resolv.conf", "hosts"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	m.engine.change(id, func() {
		c := m.engine.all[id]
		c.ResolvConfPath, c.HostsPath = filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "hosts")
		m.engine.all[id] = c
	})
	return filepath.Join(dir, "resolv.conf")
}

// cardIs checks one card in its container, and that a far client gets its replies.
func cardIs(t *testing.T, inside, cloud *netns.Namespace, w nic.Wanted) {
	t.Helper()
	name := w.Owner.Interface
	if out := netnstest.Run(t, inside, "ip", "link", "show", "dev", name); !strings.Contains(out, fmt.Sprintf("mtu %d ", w.Device.MTU)) {
		t.Errorf("want MTU %d: %s", w.Device.MTU, out)
	}
	for i, p := range w.Layer3.Addrs {
		addr, far := p.Addr().String(), farClient
		if p.Addr().Is6() {
			far = farClient6
		}
		want := fmt.Sprintf("via %s dev %s ", w.Layer3.Gateways[i], name)
		if out := netnstest.Run(t, inside, "ip", "route", "get", far, "from", addr); !strings.Contains(out, want) {
			t.Errorf("from %s: %s; want %s", addr, out, want)
		}
		if w.Layer3.DefaultRoute {
			if out := netnstest.Run(t, inside, "ip", "route", "get", far); !strings.Contains(out, want) {
				t.Errorf("from anywhere: %s; want %s", out, want)
			}
		}
		netnstest.Run(t, cloud, "ping", "-c", "1", "-W", "5", "-I", far, addr)
	}
	for _, to := range metadataService {
		for _, from := range []string{"", name, w.Layer3.Addrs[0].Addr().String(), w.Layer3.Addrs[1].Addr().String()} {
			if from != "" && from != name && strings.Contains(from, ":") != strings.Contains(to, ":") {
				continue
			}
			if out, reached := ping(t, inside, to, from); reached {
				t.Errorf("%s from %q: the metadata service answers:\n%s", to, from, out)
			}
		}
	}
}

// ping says whether an address answers, from a source, by an interface, or as may be.
func ping(t *testing.T, ns *netns.Namespace, to, from string) (out string, answered bool) {
	t.Helper()
	args := []string{"-c", "1", "-W", "0.1", to}
	if from != "" {
		args = append([]string{"-I", from}, args...)
	}
	var text []byte
	var failed error
	err := ns.Do(func() error {
		text, failed = exec.Command("ping", args...).CombinedOutput()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text), failed == nil
}

// A card beside a Docker network, which keeps the container's default route: replies
// still leave by the card.
func TestAnENIBesideADockerNetwork(t *testing.T) {
	t.Parallel()
	m, cloud := newMachine(t), newCloudNet(t)
	cloud.subnet(t, 1)
	inside := m.engine.run(t, id(1), nil)
	for _, args := range []string{
		"link add eth0 type veth peer name docker0", "addr add 172.17.0.2/16 dev eth0", "link set eth0 up", "link set docker0 up",
		"route add default via 172.17.0.1",
	} {
		netnstest.Run(t, inside, "ip", strings.Fields(args)...)
	}
	m.engine.change(id(1), func() {
		c := m.engine.all[id(1)]
		c.NetworkMode, c.DockerNetworks = "bridge", []string{"bridge"}
		m.engine.all[id(1)] = c
	})
	eni := anENI("eth1", 9001, 1, 5)
	cloud.attach(t, m, "ens5", eni.Device.MAC, 9001, 1)
	m.Want(eni)
	m.Await(t, eni, nic.ObservedIn)
	cardIs(t, inside, cloud.ns, eni)
	if out := netnstest.Run(t, inside, "ip", "route", "get", farClient); !strings.Contains(out, "via 172.17.0.1 dev eth0 ") {
		t.Errorf("Docker's default route is not: %s", out)
	}
}

// Two containers are to share a card that is not plugged in yet, by seats or as members
// of a trunk: both say what they wait for, and go without it.
func TestSeatsWaitForTheirENI(t *testing.T) {
	mac := nic.NewMAC()
	seat := nic.Device{Kind: nic.Ipvlan, MAC: mac, MTU: 1500}
	for name, recipes := range map[string][2]nic.Device{
		"seats": {seat, seat},
		"members": {
			{Kind: nic.VLAN, MAC: nic.NewMAC(), Trunk: mac, Tag: 1, MTU: 1500},
			{Kind: nic.VLAN, MAC: nic.NewMAC(), Trunk: mac, Tag: 2, MTU: 1500},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waitForTheirENI(t, mac, recipes[0], recipes[1])
		})
	}
}

func waitForTheirENI(t *testing.T, mac nic.MAC, first, second nic.Device) {
	t.Helper()
	m := newMachine(t)
	before := m.hostNet()
	one, two := anENI("eth0", 1500, 1, 5), anENI("eth0", 1500, 1, 6)
	one.Device, two.Device = first, second
	two.Owner.Sandbox, two.Container = id(2), "c0002"
	m.engine.run(t, id(1), nil)
	m.engine.run(t, id(2), nil)
	m.Want(one, two)
	for _, w := range []nic.Wanted{one, two} {
		said, _ := m.Await(t, w, nic.ObservedWaiting)
		if len(said.Conditions) != 1 || said.Conditions[0].Reason != nic.ReasonWaitingForNIC ||
			!strings.Contains(said.Conditions[0].Message, mac.String()) {
			t.Errorf("while it is waited for: %+v", said.Conditions)
		}
	}
	one.Gone, two.Gone = true, true
	m.Want(one, two)
	for _, w := range []nic.Wanted{one, two} {
		m.Await(t, w, nic.ObservedClean)
	}
	if after := m.hostNet(); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
}
