//go:build linux

package device

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/hotplug"
)

// seat is a recipe for a container's share of the NIC with the MAC.
func seat(mac nic.MAC) (nic.ID, nic.Device) {
	return nic.NewID(), nic.Device{Kind: nic.Ipvlan, MAC: mac}
}

// plug has a NIC come up in the host as a cloud would plug it in.
func plug(t *testing.T, host *netns.Namespace, mac nic.MAC) {
	t.Helper()
	netnstest.Run(t, host, "ip", "link", "add", "ens7", "mtu", "9001", "address", mac.String(), "type", "veth", "peer", "name", "cloud7")
	netnstest.Run(t, host, "ip", "link", "set", "cloud7", "up")
}

// container is a namespace with a process in it, as that of a container that runs.
func container(t *testing.T) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	process := exec.Command("sleep", "600")
	must(t, ns.Do(process.Start))
	t.Cleanup(func() {
		_ = process.Process.Kill() // its end is the test's
		_ = process.Wait()
	})
	return ns
}

// hostState is what must be of the host as it was, P8, without what the kernel
// gives to a link that comes up in its own time.
func hostState(t *testing.T, host *netns.Namespace) (state string) {
	t.Helper()
	all := netnstest.Run(t, host, "ip", "rule") + netnstest.Run(t, host, "ip", "-6", "rule") +
		netnstest.Run(t, host, "ip", "-4", "addr") + netnstest.Run(t, host, "ip", "route", "show", "table", "all") +
		netnstest.Run(t, host, "ip", "-br", "link", "show", "dev", "ens7") +
		netnstest.Run(t, host, "sysctl", "net.ipv6.conf.ens7.disable_ipv6", "net.ipv4.conf.ens7.arp_ignore")
	for line := range strings.Lines(all) {
		if !strings.Contains(line, "fe80::") && !strings.Contains(line, "ff00::") {
			state += line
		}
	}
	return state
}

// carrier has ens7 carry seats and checks that it does nothing else.
func carrier(t *testing.T, host *netns.Namespace, m *Maker, d nic.Device) link.Link {
	t.Helper()
	for range 2 {
		_, err := m.ensureCarrier(d)
		must(t, err)
	}
	l := byName(t, m, "ens7")
	if !l.Up || l.Alias != carrierAlias || l.MAC != d.MAC {
		t.Errorf("the NIC that carries seats is %+v", l)
	}
	if out := netnstest.Run(t, host, "ip", "addr", "show", "dev", "ens7"); strings.Contains(out, "inet") {
		t.Errorf("it has an address of the host's:\n%s", out)
	}
	return l
}

// F36, F37: a plugged NIC is the seats' wire and nothing else, and afterwards as
// it came.
func TestANICThatCarriesSeatsIsKeptFromTheHost(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	_, d := seat(nic.NewMAC())
	plug(t, host, d.MAC)
	before := hostState(t, host)
	carrier(t, host, m, d)
	for _, args := range [][]string{ // a network manager; the kernel knows no permanent MAC here
		{"addr", "add", "10.0.0.9/24", "dev", "ens7"},
		{"link", "set", "ens7", "name", "ens9"}, // as udev does, before 6.2 only while it is down
		{"link", "set", "ens9", "down"},
		{"link", "set", "ens9", "name", "ens7"},
	} {
		if args[len(args)-1] == "ens9" && args[2] == "ens7" {
			netnstest.Run(t, host, "ip", "link", "set", "ens7", "down")
		}
		netnstest.Run(t, host, "ip", args...)
	}
	l := carrier(t, host, m, d)
	// A seat in a namespace that only a container holds; a macvlan stands in for it.
	inside := container(t)
	must(t, m.host.AddMacvlan(link.Macvlan{Name: "child0", Parent: l.Index}))
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	must(t, m.dropCarrier(d))
	carrier(t, host, m, d)
	child, err := m.host.Move(byName(t, m, "child0"), h, link.Change{Name: "eth0"})
	must(t, err)
	must(t, m.dropCarrier(d))
	if got := byName(t, m, "ens7"); !got.Up || got.Alias != carrierAlias {
		t.Errorf("with a seat in a container it is %+v", got)
	}
	must(t, h.Delete(child))
	for range 2 {
		must(t, m.dropCarrier(d))
	}
	if after := hostState(t, host); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
	if got := byName(t, m, "ens7"); got.Up || got.Alias != "" || got.MTU != 9001 {
		t.Errorf("without seats it is %+v", got)
	}
}

// What the host lives by carries no seats, whatever the recipe says.
func TestTheHostsOwnNICCarriesNoSeats(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	id, d := seat(nic.NewMAC())
	plug(t, host, d.MAC)
	netnstest.Run(t, host, "ip", "link", "set", "ens7", "up")
	netnstest.Run(t, host, "ip", "addr", "add", "10.0.0.9/24", "dev", "ens7")
	netnstest.Run(t, host, "ip", "route", "add", "default", "via", "10.0.0.1")
	refused := func(why string) {
		t.Helper()
		before := hostState(t, host)
		if err := m.Ensure(t.Context(), id, d); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want that it is not ours: %s", err, why)
		}
		must(t, m.Remove(t.Context(), id, d))
		if after := hostState(t, host); after != before {
			t.Errorf("refused, and the host went from:\n%s\nto:\n%s", before, after)
		}
	}
	refused("default route 0.0.0.0/0 via 10.0.0.1 leaves by it")
	netnstest.Run(t, host, "ip", "route", "del", "default")
	netnstest.Run(t, host, "ip", "link", "add", "br7", "type", "bridge")
	netnstest.Run(t, host, "ip", "link", "set", "ens7", "master", "br7")
	refused(`it is a port of "br7"`)
}

// A seat whose NIC is not plugged in yet, or no longer.
func TestASeatWithoutItsNIC(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	id, d := seat(nic.NewMAC())
	if err := m.Ensure(t.Context(), id, d); !errors.Is(err, hotplug.ErrNotFound) || !strings.Contains(err.Error(), d.MAC.String()) {
		t.Errorf("make: got %v, want hotplug.ErrNotFound with the MAC", err)
	}
	if _, found, err := m.Locate(t.Context(), id, d); found || err != nil {
		t.Errorf("locate: %t, %v; want none", found, err)
	}
	must(t, m.Remove(t.Context(), id, d))
	must(t, m.DropSiblings(t.Context(), d, netnstest.New(t)))
}
