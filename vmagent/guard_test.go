//go:build linux

package vmagent_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// wholeFrames opens a socket for frames, as root in a container may.
func wholeFrames(t *testing.T, ns *netns.Namespace, iface string) *packet.Conn {
	t.Helper()
	at := leasetest.Interfaces(t, ns)[iface]
	var conn *packet.Conn
	if err := ns.Do(func() (err error) {
		conn, err = packet.Listen(&at, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// says puts a frame on the wire.
func says(t *testing.T, at *packet.Conn, frame []byte) {
	t.Helper()
	if _, err := at.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
		t.Fatal(err)
	}
}

// hears says which of the frames are heard until the last is, within a minute.
func hears(t *testing.T, at *packet.Conn, frames ...[]byte) []bool {
	t.Helper()
	heard := make([]bool, len(frames))
	buf := make([]byte, 4096)
	if err := at.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for !heard[len(frames)-1] {
		n, _, err := at.ReadFrom(buf)
		if err != nil {
			t.Fatalf("waited a minute for %x: %v", frames[len(frames)-1], err)
		}
		if i := slices.IndexFunc(frames, func(f []byte) bool { return bytes.HasPrefix(buf[:n], f) }); i >= 0 {
			heard[i] = true
		}
	}
	return heard
}

// arpOf is a gratuitous ARP request.
func arpOf(mac nic.MAC, addr netip.Addr) []byte {
	f := append(bytes.Repeat([]byte{0xff}, 6), mac[:]...)
	f = binary.BigEndian.AppendUint16(f, unix.ETH_P_ARP)
	f = append(f, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(f, mac[:]...), addr.AsSlice()...)
	return append(append(f, 0, 0, 0, 0, 0, 0), addr.AsSlice()...)
}

// offerOf is as much of a DHCP server's offer as shows what it is.
func offerOf(mac nic.MAC, addr netip.Addr) []byte {
	ip := append([]byte{0x45, 0, 0, 28, 0, 7, 0, 0, 64, 17, 0, 0}, addr.AsSlice()...)
	ip = append(ip, 255, 255, 255, 255)
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16)) // netfilter on the way looks
	f := append(append(bytes.Repeat([]byte{0xff}, 6), mac[:]...), 8, 0)
	return append(append(f, ip...), 0, 67, 0, 68, 0, 8, 0, 0)
}

// filter is what iproute2 shows of the filter at the port of a wanted NIC.
func (m *machine) filter(w nic.Wanted) string {
	m.t.Helper()
	return netnstest.Run(m.t, m.host, "tc", "filter", "show", "dev", w.NIC.LinkName("nf"), "ingress")
}

// root in an isolated container speaks for nobody else: not for its gateway, not with
// an address that it had before its lease, not after somebody has taken the filter
// off, which is told; and for itself from the first frame on.
func TestS6_AnIsolatedContainerSpeaksForItself(t *testing.T) {
	t.Parallel()
	m, l := newMachine(t), newLAN(t)
	l.plug(m)
	peer := wholeFrames(t, l.ns, "lan0")
	w := onLAN("nic-0000000000000001", mac(t), 1)
	ns := m.engine.run(t, id(1), nil)
	m.Want(w)
	addrs := m.whole(w)
	own := arpOf(mac(t), addrs[0].Addr())
	hears(t, peer, own) // the agent's, once the container has the address

	root := wholeFrames(t, ns, "eth0")
	gateway := arpOf(mac(t), netip.MustParseAddr("10.66.0.1"))
	offer := offerOf(mac(t), addrs[0].Addr())
	speaks := func(when string, free bool) {
		t.Helper()
		last := append(bytes.Clone(own), when...) // this time's
		for _, frame := range [][]byte{gateway, offer, last} {
			says(t, root, frame)
		}
		if heard := hears(t, peer, gateway, offer, last); heard[0] != free || heard[1] != free {
			t.Errorf("%s: for the gateway it is heard: %t, as a server: %t; want %t", when, heard[0], heard[1], free)
		}
	}
	speaks("at first", false)

	set := m.filter(w)
	m.stop()
	m.start()
	w.Turn = 2 // of which the new agent alone has said something
	m.Want(w)
	m.Await(t, w, nic.ObservedIn)
	if now := m.filter(w); now != set {
		t.Errorf("a new agent has made another filter: of %d bytes, and was of %d", len(now), len(set))
	}

	netnstest.Run(t, m.host, "tc", "filter", "del", "dev", w.NIC.LinkName("nf"), "ingress")
	m.engine.change(id(1), func() {})
	for end := time.Now().Add(time.Minute); m.filter(w) != set; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a filter that was taken off does not come back")
		}
	}
	speaks("after the filter was taken off", false)
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if c := m.Said(w.NIC).Conditions; len(c) == 1 && c[0].Reason == nic.ReasonSetByHand {
			break
		} else if time.Now().After(end) {
			t.Fatalf("what was done by hand is not told: %+v", c)
		}
	}

	w.Layer3.Isolated, w.Again = false, 1
	m.Want(w)
	for end := time.Now().Add(time.Minute); m.filter(w) != ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the filter of a network that is isolated no more stays")
		}
	}
	speaks("without isolation", true)
	w.Layer3.Isolated, w.Again = true, 2
	m.Want(w)
	for end := time.Now().Add(time.Minute); m.filter(w) != set; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the filter of a network that is isolated again does not come")
		}
	}
	speaks("isolated again", false)

	free := nic.Wanted{NIC: w.NIC, Turn: 3, Device: w.Device}
	m.Want(free)
	m.Await(t, free, nic.ObservedMade)
	if left := m.filter(w); left != "" {
		t.Errorf("at the port of a NIC that nobody holds there is %d bytes of filter", len(left))
	}
}

// Router advertisements give an isolated container an address, and it is reached by it.
func TestS6_AnIsolatedContainerConfiguresItself(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	l := &lan{t: t, ns: netnstest.New(t)}
	leasetest.IP(t, l.ns, "link add lan0 type bridge", "addr add fd00:67::1/64 dev lan0 nodad", "link set lan0 up")
	l.plug(m)
	leasetest.AwaitRunning(t, l.ns, "lan0")
	leasetest.StartDnsmasq(t, l.ns, "--enable-ra", "--ra-param=lan0,4,600", "--dhcp-range=fd00:67::,ra-only,64,600")
	w := onLAN("nic-0000000000000001", mac(t), 1)
	w.Layer3.DHCP, w.Layer3.IPv6Mode = false, nic.IPv6SLAAC
	ns := m.engine.space(t)
	if err := ns.SetSysctl("2", "ipv6", "conf", "default", "use_tempaddr"); err != nil {
		t.Fatal(err)
	}
	m.engine.runIn(ns, id(1), os.Getpid(), nil)
	m.Want(w)
	const want = "fd00:67::ff:fe00:6601"
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		at := strings.Index(m.addrs(ns), want)
		if at >= 0 {
			line, _, _ := strings.Cut(m.addrs(ns)[at:], "\n")
			if !strings.Contains(line, "tentative") {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatalf("it has no address:\n%s", m.addrs(ns))
		}
	}
	netnstest.Run(t, ns, "ping", "-c", "1", "-W", "20", "-I", want, "fd00:67::1")
	if all := m.addrs(ns); strings.Contains(all, "temporary") {
		t.Errorf("it has made addresses that do not leave it:\n%s", all)
	}
	// What is not of its MAC goes nowhere.
	netnstest.Run(t, ns, "ip", "addr", "add", "fd00:67::66/64", "dev", "eth0", "nodad")
	if out := netnstest.Run(t, ns, "sh", "-c", "ping -c 3 -i 0.2 -W 1 -I fd00:67::66 fd00:67::1 || true"); !strings.Contains(out, "100% packet loss") {
		t.Errorf("under a foreign address it is answered:\n%s", out)
	}
}

// A NIC that an agent has made that knew of no filter stays as it is for as long as
// its container runs: to make the place for one costs what is sent meanwhile. That is
// told, and over with the container's next start.
func TestS6_AnUpgradeCostsNoTraffic(t *testing.T) {
	t.Parallel()
	m, l := newMachine(t), newLAN(t)
	l.plug(m)
	w := onLAN("nic-0000000000000001", mac(t), 1)
	w.Layer3.Isolated = false
	m.engine.run(t, id(1), nil)
	m.Want(w)
	m.whole(w)
	netnstest.Run(t, m.host, "tc", "qdisc", "del", "dev", w.NIC.LinkName("nf"), "clsact")
	w.Layer3.Isolated, w.Again = true, 1
	m.Want(w)
	for end := time.Now().Add(time.Minute); !strings.Contains(m.log.String(), "sends unfiltered until its next start"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not told")
		}
	}
	if said, _ := m.Await(t, w, nic.ObservedIn); len(said.Conditions) != 0 || m.filter(w) != "" {
		t.Errorf("conditions %+v, filter %q", said.Conditions, m.filter(w))
	}
	m.engine.die(id(1))
	m.Await(t, w, nic.ObservedMade)
	m.engine.run(t, id(1), nil)
	m.whole(w)
	if m.filter(w) == "" {
		t.Error("after the container's next start there is no filter")
	}
}
