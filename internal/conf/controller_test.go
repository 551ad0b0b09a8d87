package conf

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

const fullController = `
version: 1
socket: /run/x.sock
socketGroup: admins
store: /srv/x.db
log: {level: debug, format: json}
metrics: {address: "[::1]:9100"}
sweep: {every: 1h, grace: 5m, off: true}
listen: {address: "[fd00::1]:7460", cert: /etc/x/cert.pem, key: /etc/x/key.pem, clientCA: /etc/x/ca.pem}
providers:
  - {name: local, kind: local, local: {slots: 4}}
  - {name: vms, kind: libvirt}
  - {name: far, kind: libvirt, libvirt: {uri: "qemu+ssh://root@kvm1/system"}}
nodes:
  n1:
  n2: {instances: {local: other, vms: 0d1f7b1e-7d4b-4f0c-9a57-3c1b0f9a2b11}}
networks:
  - name: lab
    provider: local
    addressing: ipam
    space: s
    mtu: 9000
    hold: 90s
    cooldown: 5s
    keep: 0s
    subnets:
      # Both ends of the prefix are in the ranges, but excluded; so is a hole. The
      # gateway may be inside.
      - prefix: 10.0.0.0/24
        gateway: 10.0.0.1
        ranges: [10.0.0.0 - 10.0.0.99, 10.0.0.200-10.0.0.255]
        exclude: [10.0.0.0, 10.0.0.255, 10.0.0.50-10.0.0.59]
      # A link between two has no addresses of its own (RFC 3021).
      - {prefix: 10.0.1.0/31, ranges: [10.0.1.0-10.0.1.1]}
      - {prefix: fd00::/64}
    routes: [{to: 10.9.0.0/16, via: 10.0.0.254}, {to: fd09::/16, via: fd00::1}]
    dns: {servers: [10.0.0.53, fd00::53], search: [lab.example]}
    probe: strict
    announce: false
    checkGateway: false
    metadata: true
    imageLabels: true
    veth: {bridge: br0, owned: true, uplinks: [eth1], alsoAddrs: [10.0.0.7, "fd00::/120"]}
  # The same LAN: the prefix overlaps, the ranges do not.
  - name: lab2
    provider: local
    addressing: ipam
    space: s
    hold: 0s
    subnets: [{prefix: 10.0.0.0/16, ranges: [10.0.0.100-10.0.0.199]}]
    veth: {bridge: br0, owned: true, uplinks: [eth1], isolation: off}
  # The same addresses again, in another space.
  - name: lan
    provider: local
    addressing: dhcp
    subnets: [{prefix: 10.0.0.0/24}]
    routes: [{to: 172.16.0.0/12, via: 10.0.0.1}]
    dhcpRoutes: true
    ipv6: slaac
    macvlan: {parent: eth2}
  - {name: p1, provider: vms, addressing: dhcp, port: {bridge: br0, filter: clean-traffic, inbound: {average: 1000, peak: 2000, burst: 64}}}
  - {name: p2, provider: vms, addressing: dhcp, port: {ovs: ovs0, vlan: 100, model: e1000e, outbound: {average: 5}}}
  - {name: p3, provider: vms, addressing: dhcp, port: {network: lab-net, model: virtio, queues: 4}}
  - {name: p4, provider: far, addressing: dhcp, port: {macvtap: eth0}}
`

func wantFullController() *Controller {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	span := func(first, last string) nic.Range { return nic.Range{First: addr(first), Last: addr(last)} }
	bridge := nic.Bridge{Name: "br0", Owned: true, Uplinks: []string{"eth1"}}
	plugged := func(name, provider string, port nic.Port) nic.Network {
		return nic.Network{
			Name: name, Provider: provider, Addressing: nic.AddrDHCP, Space: "default", Hold: nic.Duration(time.Minute),
			Preplug: DefaultPreplug, Cooldown: DefaultCooldown, Keep: DefaultKeep, Probe: nic.ProbeOptimistic, Port: port,
		}
	}
	return &Controller{
		Socket: "/run/x.sock", SocketGroup: "admins", Store: "/srv/x.db",
		Listen:  &Listen{Address: "[fd00::1]:7460", Cert: "/etc/x/cert.pem", Key: "/etc/x/key.pem", ClientCA: "/etc/x/ca.pem", CertificateLife: DefaultCertificateLife},
		Log:     Log{Level: "debug", Format: "json"},
		Metrics: Metrics{Address: "[::1]:9100"},
		Sweep:   Sweep{Every: nic.Duration(time.Hour), Grace: nic.Duration(5 * time.Minute), Off: true},
		Providers: []Provider{
			{Name: "local", Kind: "local", Local: &Local{Slots: 4}},
			{Name: "vms", Kind: "libvirt", Libvirt: &Libvirt{URI: "qemu:///system"}},
			{Name: "far", Kind: "libvirt", Libvirt: &Libvirt{URI: "qemu+ssh://root@kvm1/system"}},
		},
		Nodes: map[string]Node{"n1": {}, "n2": {Instances: map[string]nic.InstanceID{
			"local": "other", "vms": "0d1f7b1e-7d4b-4f0c-9a57-3c1b0f9a2b11",
		}}},
		Networks: []nic.Network{
			{
				Name: "lab", Provider: "local", Addressing: nic.AddrIPAM, Space: "s", MTU: 9000, Hold: nic.Duration(90 * time.Second), Preplug: DefaultPreplug,
				Cooldown: nic.Duration(5 * time.Second),
				Subnets: []nic.Subnet{
					{
						Prefix: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.1"),
						Ranges:  []nic.Range{span("10.0.0.0", "10.0.0.99"), span("10.0.0.200", "10.0.0.255")},
						Exclude: []nic.Range{span("10.0.0.0", "10.0.0.0"), span("10.0.0.255", "10.0.0.255"), span("10.0.0.50", "10.0.0.59")},
					},
					{Prefix: prefix("10.0.1.0/31"), Ranges: []nic.Range{span("10.0.1.0", "10.0.1.1")}},
					{Prefix: prefix("fd00::/64")},
				},
				Routes: []nic.Route{{To: prefix("10.9.0.0/16"), Via: addr("10.0.0.254")}, {To: prefix("fd09::/16"), Via: addr("fd00::1")}},
				DNS:    nic.DNS{Servers: []netip.Addr{addr("10.0.0.53"), addr("fd00::53")}, Search: []string{"lab.example"}},
				Probe:  nic.ProbeStrict, Silent: true, UncheckedGateway: true, Metadata: true, ImageLabels: true,
				Isolated: true, AlsoAddrs: []netip.Prefix{prefix("10.0.0.7/32"), prefix("fd00::/120")},
				Device: nic.Device{Kind: nic.Veth, MTU: 9000, Bridge: bridge},
			},
			{
				Name: "lab2", Provider: "local", Addressing: nic.AddrIPAM, Space: "s", Preplug: DefaultPreplug, Cooldown: DefaultCooldown, Keep: DefaultKeep, Probe: nic.ProbeOptimistic,
				Subnets: []nic.Subnet{{Prefix: prefix("10.0.0.0/16"), Ranges: []nic.Range{span("10.0.0.100", "10.0.0.199")}}},
				Device:  nic.Device{Kind: nic.Veth, Bridge: bridge},
			},
			{
				Name: "lan", Provider: "local", Addressing: nic.AddrDHCP, Space: "default", Hold: nic.Duration(time.Minute), Preplug: DefaultPreplug,
				Cooldown: DefaultCooldown, Keep: DefaultKeep,
				Probe: nic.ProbeOptimistic, DHCPRoutes: true, IPv6: nic.IPv6SLAAC,
				Subnets: []nic.Subnet{{Prefix: prefix("10.0.0.0/24")}},
				Routes:  []nic.Route{{To: prefix("172.16.0.0/12"), Via: addr("10.0.0.1")}},
				Device:  nic.Device{Kind: nic.Macvlan, Parent: "eth2"},
			},
			plugged("p1", "vms", nic.Port{
				Kind: nic.PortBridge, Name: "br0", Filter: "clean-traffic", Inbound: nic.Rate{Average: 1000, Peak: 2000, Burst: 64},
			}),
			plugged("p2", "vms", nic.Port{
				Kind: nic.PortOVS, Name: "ovs0", VLAN: 100, Model: nic.ModelE1000e, Outbound: nic.Rate{Average: 5},
			}),
			plugged("p3", "vms", nic.Port{Kind: nic.PortNetwork, Name: "lab-net", Model: nic.ModelVirtio, Queues: 4}),
			plugged("p4", "far", nic.Port{Kind: nic.PortMacvtap, Name: "eth0"}),
		},
	}
}

func TestParseController(t *testing.T) {
	t.Parallel()
	got, err := ParseController("f", []byte(fullController))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantFullController(), got, byText); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A controller with its own authority needs an address and nothing else.
func TestListen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*Listen{
		`{address: ":7460"}`: {Address: ":7460", CertificateLife: DefaultCertificateLife},
		`{address: "10.0.0.1:7460", names: [nf.example, "203.0.113.7", "fd00::7"], certificateLife: 1m}`: {
			Address: "10.0.0.1:7460", Names: []string{"nf.example", "203.0.113.7", "fd00::7"}, CertificateLife: nic.Duration(time.Minute),
		},
	} {
		c, err := ParseController("f", []byte("version: 1\nproviders: [{name: local, kind: local}]\nlisten: "+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.Listen); diff != "" || !c.Listen.OwnAuthority() {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
	if (*Listen)(nil).OwnAuthority() || (&Listen{ClientCA: "/x"}).OwnAuthority() {
		t.Error("a controller without a port, or with its operators' certificates, uses its own authority")
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	providers := []Provider{{Name: "a", Kind: KindLocal}, {Name: "b", Kind: KindLibvirt}}
	anyNode := &Controller{Providers: providers}
	listed := &Controller{Providers: providers, Nodes: map[string]Node{"n1": {}, "n2": {Instances: map[string]nic.InstanceID{"b": "x"}}}}
	for _, c := range []struct {
		conf *Controller
		node string
		want string
	}{
		{anyNode, "n9", "map[a:n9 b:n9] true"},
		{listed, "n1", "map[a:n1 b:n1] true"},
		{listed, "n2", "map[a:n2 b:x] true"},
		{listed, "n9", "map[] false"},
	} {
		instances, ok := c.conf.Instances(c.node)
		if got := fmt.Sprint(instances, ok); got != c.want {
			t.Errorf("%s: got %s, want %s", c.node, got, c.want)
		}
	}
}

// TestNodesMayBeAbsent: leaving nodes out is not the same as listing none.
func TestNodesMayBeAbsent(t *testing.T) {
	t.Parallel()
	c, err := ParseController("f", []byte("version: 1\nproviders: [{name: local, kind: local}]\n"))
	if err != nil || c.Nodes != nil || c.Providers[0].Local.Slots != DefaultSlots {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestFaultJSON(t *testing.T) {
	t.Parallel()
	_, err := ParseController("a.yaml", []byte("version: 3\nproviders: []\n"))
	got, jsonErr := json.Marshal(AsFaults(fmt.Errorf("start: %w", err)))
	want := `[{"file":"a.yaml","line":1,"field":"version","problem":"is 3; this release reads version 1 only"},` +
		`{"file":"a.yaml","line":2,"field":"providers","problem":"want at least one provider"}]`
	if jsonErr != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, jsonErr, want)
	}
	if AsFaults(errors.New("other")) != nil {
		t.Error("another error has faults")
	}
}

func TestSlogLevel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	} {
		if got := (Log{Level: text}).SlogLevel(); got != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"socket", "store", "log", "mtu", "name", "dhcp"}
	for word, want := range map[string]string{
		"Socket": "socket", "sokcet": "socket", "mtus": "mtu", "dchp": "dhcp", "lgo": "log", "nmae": "name",
		"colour": "", "x": "", "": "", "ip": "", strings.Repeat("store", 20): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
