//go:build linux

package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A Metal has each guest play a physical host: with an IOMMU and two cards that can be
// cut into VFs, each on a switch of its own. Both switches are joined by a third, where
// the peers of two VLANs are.
type Metal struct {
	// VFs is how many each card is cut into when the guest is up, at most MaxVFs.
	// Optional: none.
	VFs int
}

// MaxVFs is how many VFs a card can have: QEMU's igb is an Intel 82576.
const MaxVFs = 7

// The switches of physical hosts, which Open vSwitch runs in user space: it knows VLANs
// also where the machine's kernel does not.
const (
	SwitchA    = "sw-a"
	SwitchB    = "sw-b"
	coreSwitch = "core"
)

// Cards are the PCI addresses of the cards in a physical host: on SwitchA, on SwitchB.
var Cards = [...]string{"0000:01:00.0", "0000:02:00.0"}

// cardPorts are the guest's ports that its cards are in.
const cardPorts = len(Cards)

// A Peer is a host on a VLAN, beside the guests: the network namespace with its name.
type Peer struct {
	Name string
	VLAN int // Untagged is that of frames without a tag
	V4   netip.Prefix
	V6   netip.Prefix
}

// Untagged is the VLAN that the switches have for frames without a tag.
const Untagged = 1

// Peers are the hosts on the VLANs. Each is the gateway of its VLAN's networks.
func Peers() []Peer {
	return []Peer{
		{"peer", Untagged, netip.MustParsePrefix("10.1.0.1/24"), netip.MustParsePrefix("fd00:1::1/64")},
		{"peer100", 100, netip.MustParsePrefix("10.100.0.1/24"), netip.MustParsePrefix("fd00:100::1/64")},
		{"peer200", 200, netip.MustParsePrefix("10.200.0.1/24"), netip.MustParsePrefix("fd00:200::1/64")},
	}
}

// peerWire is a peer's interface.
const peerWire = "wire0"

// provider is what is added to the controller's providers, as YAML.
func (m *Metal) provider() string {
	if m == nil {
		return ""
	}
	return "  - {name: cards, kind: sriov}\n"
}

// metalNetwork is one of VFs or of bonds of two VFs.
const metalNetwork = `  - name: %[1]s
    provider: cards
    addressing: ipam
    subnets:
      - {prefix: %[2]s, gateway: %[3]s, ranges: [%[4]s]}
      - {prefix: "%[5]s", gateway: "%[6]s", ranges: ["%[7]s"]}
    sriov: {%[8]s}
`

// networks are what is added to the controller's networks. A VF can be in one of them:
// on VLANs 100 and 200 there are bonds over both cards, and VFs alone; without a VLAN
// two VFs, and macvlans when they are taken, and one for programs in user space.
func (m *Metal) networks() string {
	if m == nil {
		return ""
	}
	vfs := func(span string) string { return fmt.Sprintf("[\"%s#%s\", \"%s#%s\"]", Cards[0], span, Cards[1], span) }
	bond := func(span string) string {
		return fmt.Sprintf("bond: {mode: active-backup, a: [\"%s#%s\"], b: [\"%s#%s\"]}", Cards[0], span, Cards[1], span)
	}
	all := Peers()
	plain, one, two := all[0], all[1], all[2]
	return one.network("bond100", 200, bond("0-1")+", vlan: 100") +
		two.network("bond200", 200, bond("2")+", vlan: 200") +
		plain.network("vf", 100, "pfs: "+vfs("3")+", fallback: [macvlan, refuse]") +
		one.network("vf100", 100, "pfs: "+vfs("4")+", vlan: 100") +
		two.network("vf200", 100, "pfs: "+vfs("5")+", vlan: 200") +
		plain.network("user", 200, "pfs: "+vfs("6")+", mode: vfio")
}

// network is one on the peer's VLAN, with 50 addresses of each kind from the number on.
func (p Peer) network(name string, first int, functions string) string {
	span := func(net netip.Prefix) string {
		text := net.Masked().Addr().String()
		text = strings.TrimSuffix(strings.TrimSuffix(text, "0"), ":") // 10.1.0. or fd00:1:
		if net.Addr().Is6() {
			text += ":"
		}
		return fmt.Sprintf("%[1]s%[2]d-%[1]s%[3]d", text, first, first+49)
	}
	return fmt.Sprintf(metalNetwork, name, p.V4.Masked(), p.V4.Addr(), span(p.V4), p.V6.Masked(), p.V6.Addr(), span(p.V6), functions)
}

// makeMetal makes the switches and the peers.
func (c *Cluster) makeMetal(ctx context.Context) error {
	if c.opts.Switch != OpenVSwitch { // where the LAN has started it
		if err := c.startOVS(ctx); err != nil {
			return err
		}
	}
	var steps []string
	for _, name := range []string{coreSwitch, SwitchA, SwitchB} {
		steps = append(steps, "ovs-vsctl --timeout=10 add-br "+name+" -- set bridge "+name+" datapath_type=netdev")
	}
	for _, name := range []string{SwitchA, SwitchB} {
		steps = append(steps, fmt.Sprintf("ovs-vsctl --timeout=10 add-port %[1]s up-%[1]s -- set interface up-%[1]s type=patch options:peer=to-%[1]s"+
			" -- add-port %[2]s to-%[1]s -- set interface to-%[1]s type=patch options:peer=up-%[1]s", name, coreSwitch))
	}
	for _, p := range Peers() {
		steps = append(steps,
			"ip netns add "+p.Name,
			"ip netns exec "+p.Name+" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0",
			"ip link add "+p.Name+" type veth peer name "+peerWire+" netns "+p.Name,
			"sysctl -qw net/ipv6/conf/"+p.Name+"/disable_ipv6=1",
			"ip link set "+p.Name+" up",
			wholeFrames(p.Name, peerWire),
			"ip -n "+p.Name+" link set lo up",
			"ip -n "+p.Name+" link set "+peerWire+" up",
			"ip -n "+p.Name+" addr add "+p.V4.String()+" dev "+peerWire,
			"ip -n "+p.Name+" addr add "+p.V6.String()+" dev "+peerWire,
			fmt.Sprintf("ovs-vsctl --timeout=10 add-port %s %s tag=%d", coreSwitch, p.Name, p.VLAN))
	}
	return c.run(ctx, steps...)
}

// metalModules are the drivers of cards, VFs, VLANs, bonds, and of user space.
var metalModules = []string{"igb", "igbvf", "vfio-pci", "8021q", "bonding", "macvlan", "ipvlan"}

// iommu is a guest's IOMMU, and iommuOn has its kernel use it.
const iommu, iommuOn = "<iommu model='intel'/>", "intel_iommu=on"

// metalDevices are the cards of a guest, and its IOMMU.
func (n *Node) metalDevices() string {
	var b, tags strings.Builder
	b.WriteString(iommu)
	for _, p := range Peers() {
		if p.VLAN != Untagged {
			fmt.Fprintf(&tags, "<tag id='%d'/>", p.VLAN)
		}
	}
	for i, sw := range []string{SwitchA, SwitchB} {
		fmt.Fprintf(&b, `
    <interface type='bridge'>
      <mac address='%s'/>
      <source bridge='%s'/>
      <vlan trunk='yes'><tag id='%d' nativeMode='untagged'/>%s</vlan>
      <virtualport type='openvswitch'/>
      <target dev='%s'/>
      <model type='igb'/>
      <alias name='%s'/>
      <rom enabled='no'/>
      <address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' function='0x0'/>
    </interface>`, CardMAC(n.index, i), sw, Untagged, tags.String(), n.cable(i), cardAlias(i), i+1)
	}
	return b.String()
}

// CardMAC is the MAC of card i, from 0, of a guest, from 1.
func CardMAC(guest, i int) string { return fmt.Sprintf("52:54:00:97:%02x:%02x", guest, i) }

// cable is the host's end of what card i is joined to its switch by.
func (n *Node) cable(i int) string { return fmt.Sprintf("%s-%c", n.Name, 'a'+i) }

// cardAlias is what libvirt and QEMU call card i.
func cardAlias(i int) string { return fmt.Sprintf("ua-card-%c", 'a'+i) }

// Plug pulls the cable of card i, from 0, out of its switch, or plugs it in again. QEMU's
// igb tells VFs of it with the interrupt of another queue, which they take for frames: so
// the card is switched off too, of which they hear by the reset. libvirt is passed by:
// what it is asked for it keeps in the definition.
func (n *Node) Plug(ctx context.Context, i int, in bool) error {
	link, state := "off", "down"
	if in {
		link, state = "on", "up"
	}
	_, err := n.cluster.host.Run(ctx, "virsh", "-q", "-c", n.cluster.host.URI(), "qemu-monitor-command", n.Name, "--hmp", "set_link "+cardAlias(i)+" "+link)
	if err == nil {
		_, err = n.Command(ctx, "sh", "-ec", "ip link set $(ls /sys/bus/pci/devices/"+Cards[i]+"/net) "+state).Output()
	}
	return err
}

// cutTime bounds how long a card takes to have its VFs.
const cutTime = 2 * time.Minute

// Cut has the agent's command make the VFs of the guest's cards, and returns what it
// says.
func (n *Node) Cut(ctx context.Context, vfs int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cutTime)
	defer cancel()
	var said []string
	for _, card := range Cards {
		out, err := n.Command(ctx, GuestBin+"/nicferry-agent", "sriov", "enable", card, "--vfs", fmt.Sprint(vfs)).Output()
		if err != nil {
			return "", err
		}
		said = append(said, strings.TrimSpace(string(out)))
	}
	return strings.Join(said, "\n"), nil
}

// PeerCommand is the command that runs on a peer, for hyper.Host's Run and Command.
func PeerCommand(peer string, args ...string) []string {
	return append([]string{"ip", "netns", "exec", peer}, args...)
}
