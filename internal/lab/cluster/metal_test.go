//go:build linux

package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/guesttest"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
	"github.com/nicferry/nicferry/nic"
)

func metalCluster(t *testing.T) *Cluster {
	t.Helper()
	opts, err := Options{Dir: t.TempDir(), Bin: "/", Metal: &Metal{}, Nodes: 1, Ports: 1}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{opts: opts}
}

// What the controller of physical hosts is told is a config of this release.
func TestConfigOfPhysicalHosts(t *testing.T) {
	c := metalCluster(t)
	text := fmt.Sprintf(controllerConfig, c.Socket(), c.file("nicferry.db"), c.api(), "qemu:///system", LinuxBridge, LANBridge,
		c.opts.Metal.provider()) + c.opts.Metal.networks()
	got, err := conf.ParseController("nicferryd.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	seen := map[string]nic.Network{}
	for _, n := range got.Networks {
		seen[n.Name] = n
	}
	if n := seen["vf"]; n.Functions.Set.VLAN != nil || len(n.Functions.Fallback) != 1 || len(n.Subnets) != 2 {
		t.Errorf("network vf is %+v", n)
	}
	n := seen["bond200"]
	if n.Functions.Set.VLAN == nil || n.Functions.Set.VLAN.ID != 200 || n.Functions.Bond != nic.BondActiveBackup || len(n.Functions.PFs) != 2 {
		t.Errorf("network bond200 is %+v", n)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.200.0.0/24"), netip.MustParsePrefix("fd00:200::/64")}
	for i, s := range n.Subnets {
		if s.Prefix != want[i] || !strings.HasSuffix(s.Gateway.String(), "1") {
			t.Errorf("subnet %d of bond200 is %+v", i, s)
		}
	}
}

func TestDefinitionOfAPhysicalHost(t *testing.T) {
	n := &Node{Name: "vm1", cluster: metalCluster(t), index: 1}
	text, err := guest.Domain{
		Image: &guest.Image{Vmlinuz: "/lab/vmlinuz", Initrd: "/lab/initrd"},
		Boot:  protocol.Boot{Hostname: n.Name, MAC: managementMAC(1), Addr: managementAddr(1)},
		Type:  "qemu", CPUMode: "maximum", MemoryMiB: 1024, CPUs: 1, Ports: 1 + cardPorts,
		Bridge: ManagementBridge, Console: "/lab/console", Devices: n.metalDevices(),
	}.XML()
	if err != nil {
		t.Fatal(err)
	}
	guesttest.WantDomain(t, text)
	for i := range Cards {
		if _, err := net.ParseMAC(CardMAC(1, i)); err != nil || !strings.Contains(text, CardMAC(1, i)) {
			t.Errorf("card %d: %v in\n%s", i, err, text)
		}
	}
}
