//go:build linux

package device

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device/devicetest"
)

var errUntold = errors.New("not told yet")

// newCards gives the host a VF on each of n PFs.
func newCards(t *testing.T, n int) (*netns.Namespace, *Maker, *devicetest.Cards) {
	t.Helper()
	host, m := newMaker(t)
	c := devicetest.New(t, host, n)
	m.UseFunctions(c)
	return host, m, c
}

func mustLink(t testing.TB, h *link.Handle, name string) link.Link {
	t.Helper()
	l, err := h.ByName(name)
	must(t, err)
	return l
}

func oneVF() (nic.ID, nic.Device) {
	mac := nic.NewMAC()
	return nic.NewID(), nic.Device{Kind: nic.SRIOV, MAC: mac, MTU: 1400, VF: devicetest.VF(0, mac)}
}

func TestVFComesAndGoes(t *testing.T) {
	t.Parallel()
	_, m, c := newCards(t, 1)
	id, d := oneVF()
	for range 2 {
		must(t, m.Ensure(t.Context(), id, d))
	}
	if got, want := c.Said(), []string{"apply 0000:03:10.0", "heed 0000:03:10.0", "apply 0000:03:10.0"}; !slices.Equal(got, want) {
		t.Errorf("calls: %v; want %v", got, want)
	}
	l := byName(t, m, "VF11")
	if l.MAC != d.MAC || l.MTU != 1400 || l.Up || l.Alias != "" {
		t.Errorf("VF is %+v", l)
	}
	netnstest.Run(t, m.host.Namespace(), "ip", "link", "set", "VF11", "alias", "mine", "mtu", "1280", "txqueuelen", "7", "promisc", "on", "multicast", "off")
	must(t, m.Ensure(t.Context(), id, d)) // as one that came home by itself
	if l := byName(t, m, "VF11"); l.MTU != 1400 || l.Alias != "" || l.Promisc || l.Tuning != l.Untuned() {
		t.Errorf("a dirty VF became %+v", l)
	}
	clean, err := m.Clean(id, d)
	if err != nil || clean.Name != l.Name || clean.MAC != l.MAC || clean.MTU != l.MTU {
		t.Errorf("a clean VF is %+v, %v; made was %+v", clean, err, l)
	}
	was, err := m.Former(t.Context(), id, d)
	if err != nil || len(was) != 1 || was[0].Boot != "b" {
		t.Errorf("former: %+v, %v", was, err)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), id, d))
	}
	if c.Set() != 0 {
		t.Errorf("%d are still set", c.Set())
	}
	// It keeps the MAC until its driver is bound anew, and is nobody's stray.
	if strays, err := m.Strays(t.Context(), nil); err != nil || len(strays) != 0 || byName(t, m, "VF11").MAC != d.MAC {
		t.Errorf("given back, it is taken for a stray: %+v, %v", strays, err)
	}
}

// A container that renames its NIC, and gives it an alias and another name, hides
// nothing: the address on the bus is not its to change.
func TestF30_F34_S12_AVFIsFoundByItsAddressOnTheBus(t *testing.T) {
	t.Parallel()
	_, m, _ := newCards(t, 2)
	id, d := oneVF()
	must(t, m.Ensure(t.Context(), id, d))
	inside := netnstest.New(t)
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	for round := range 3 {
		at, found, err := m.Locate(t.Context(), id, d, inside)
		if err != nil || !found || !at.Home {
			t.Fatalf("round %d: at home: %+v, %t, %v", round, at, found, err)
		}
		moved, err := m.host.Move(at.Link, h, link.Change{Name: "eth0"})
		must(t, err)
		must(t, h.Set(moved, link.Change{Name: "mine", Alias: new("nothing"), MAC: nic.NewMAC(), MTU: 1280}))
		// The home name, as an alternative one: it would block the way back.
		netnstest.Run(t, inside, "ip", "link", "property", "add", "dev", "mine", "altname", "VF11")
		must(t, m.Ensure(t.Context(), id, d, inside)) // leaves it where it is
		at, found, err = m.Locate(t.Context(), id, d, inside)
		if err != nil || !found || at.Home || at.Link.Name != "mine" {
			t.Fatalf("round %d: in the container: %+v, %t, %v", round, at, found, err)
		}
		must(t, m.Remove(t.Context(), id, d, inside))
		l := byName(t, m, "VF11")
		if l.MTU != 1400 || l.Alias != "" || l.Up || len(l.AltNames) != 0 {
			t.Errorf("round %d: came home as %+v", round, l)
		}
		must(t, m.Ensure(t.Context(), id, d))
	}
}

// Two VFs that somebody has given each other's names are each taken and given back all
// the same.
func TestF37_VFsThatSwappedNames(t *testing.T) {
	t.Parallel()
	host, m, _ := newCards(t, 2)
	inside := netnstest.New(t)
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	for _, step := range [][]string{{"vf0", "swap"}, {"vf1", "VF11"}, {"swap", "VF21"}} {
		netnstest.Run(t, host, "ip", "link", "set", step[0], "name", step[1])
	}
	var ids [2]nic.ID
	var ds [2]nic.Device
	for i, name := range []string{"VF11", "VF21"} {
		mac := nic.NewMAC()
		ids[i], ds[i] = nic.NewID(), nic.Device{Kind: nic.SRIOV, MAC: mac, MTU: 1400, VF: devicetest.VF(i, mac)}
		ds[i].VF.Name = name
		must(t, m.Ensure(t.Context(), ids[i], ds[i]))
		at, found, err := m.Locate(t.Context(), ids[i], ds[i])
		if err != nil || !found || at.Link.MTU != 1400 || m.at(at.Link) != ds[i].VF.PCI {
			t.Fatalf("%s: %+v, %t, %v", name, at, found, err)
		}
		if _, err := m.host.Move(at.Link, h, link.Change{Name: "eth" + string(rune('0'+i))}); err != nil {
			t.Fatal(err)
		}
	}
	// Meanwhile somebody has another interface by one of the names.
	netnstest.Run(t, host, "ip", "link", "add", "VF21", "type", "bridge")
	for i, home := range []string{"VF11", ids[1].LinkName(homePrefix)} {
		must(t, m.Remove(t.Context(), ids[i], ds[i], inside))
		if l := byName(t, m, home); l.Up || l.MTU != 1400 || l.MAC != ds[i].MAC {
			t.Errorf("%s came home as %+v", ds[i].VF.Name, l)
		}
	}
}

func TestVFsThatAreNotOursToTake(t *testing.T) {
	t.Parallel()
	host, m, c := newCards(t, 1)
	id, d := oneVF()
	ensure := func(want string) {
		t.Helper()
		if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q in it", err, want)
		}
	}
	c.Refuse = errUntold
	ensure(errUntold.Error())
	c.Refuse = nil
	netnstest.Run(t, host, "ip", "link", "add", "br9", "type", "bridge")
	netnstest.Run(t, host, "ip", "link", "set", "vf0", "master", "br9")
	ensure(`interface "vf0" is not nicferry's: it is a port of "br9"`)
	netnstest.Run(t, host, "ip", "link", "set", "vf0", "nomaster", "up")
	must(t, m.Ensure(t.Context(), id, d)) // a network manager set it up
	d.VF.PCI = devicetest.PCI(7)
	ensure("VF 0000:0a:10.0 has no interface in the host's namespace")
	d.VF.PCI, d.VF.Set.MAC = devicetest.PCI(0), nic.NewMAC()
	ensure("and the NIC's")
	d.VF.Set.VLAN = &nic.VFVLAN{ID: 4095}
	ensure("VLAN 4095")
	m.UseFunctions(nil)
	_, d = oneVF()
	ensure("this agent does not set virtual functions")
}
