//go:build linux

package device

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
)

// TestF30_BondOfRealCards is for a machine with two cards that have VFs, on wires with a
// peer each: NICFERRY_CARDS are the PFs' PCI addresses, and NICFERRY_PEERS the
// interfaces that are the other ends. Suite sriov has them. Without cards a maker refuses.
func TestF30_BondOfRealCards(t *testing.T) {
	pfs, peers := strings.Fields(os.Getenv("NICFERRY_CARDS")), strings.Fields(os.Getenv("NICFERRY_PEERS"))
	mac := nic.NewMAC()
	id, d := nic.NewID(), nic.Device{Kind: nic.Bonded, MAC: mac, Bond: nic.Bond{Mode: nic.BondActiveBackup}}
	if len(pfs) == 0 {
		_, m := newMaker(t)
		if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), "bond of 0 VFs: want 2") {
			t.Errorf("got %v", err)
		}
		return
	}
	for i, pf := range pfs {
		pci, err := vf.Sysfs{}.Function(pf, 0)
		must(t, err)
		d.Bond.Members = append(d.Bond.Members, nic.VF{
			PCI: pci, PF: pf, Name: []string{"VF11", "VF21"}[i],
			Set: nic.VFSettings{MAC: mac, SpoofCheck: new(true), Trust: new(false)},
		})
	}
	host, err := netns.Current()
	must(t, err)
	defer host.Close()
	m, err := New(host)
	must(t, err)
	defer m.Close()
	s, err := vf.New(vf.Options{Kernel: m.host, Bus: vf.Sysfs{}, Dir: t.TempDir(), Boot: "b"})
	must(t, err)
	m.UseFunctions(s)
	switchOf(t, m.host, peers)
	inside := netnstest.New(t)
	for _, mode := range []nic.BondMode{nic.BondXOR, nic.BondRoundRobin, nic.BondTLB, nic.BondALB} {
		inMode(t, m, mode, d, inside)
	}
	was := owned(t, m, id, &d)
	must(t, m.Ensure(t.Context(), id, d))
	start := time.Now()
	l, err := m.Join(t.Context(), id, d, inside, "eth0", 0)
	must(t, err)
	t.Logf("joined in %s", time.Since(start))
	if l.MAC != mac || l.Bond == nil {
		t.Errorf("the bond is %+v", l)
	}
	netnstest.Run(t, inside, "ip", "addr", "add", "192.0.2.2/24", "dev", "eth0")
	pings(t, inside, "192.0.2.1")
	pull(t, m, id, d, inside)
	for range 2 {
		must(t, m.Remove(t.Context(), id, d, inside))
	}
	for steps := 1; steps <= 4; steps++ {
		killed(t, m, id, d, steps)
	}
	for i, v := range d.Bond.Members {
		now, err := s.Read(t.Context(), v)
		if err != nil || now.MAC != was[i].Settings.MAC || *now.SpoofCheck != *was[i].Settings.SpoofCheck {
			t.Errorf("VF %s: %+v, %v; was %+v", v.PCI, now, err, was[i])
		}
	}
}

// owned makes the NIC the owner of its VFs, and has the recipe say how they were.
func owned(t *testing.T, m *Maker, id nic.ID, d *nic.Device) []nic.VFWas {
	t.Helper()
	was, err := m.Former(t.Context(), id, *d)
	must(t, err)
	d.Bond.Members = slices.Clone(d.Bond.Members)
	for i := range was {
		d.Bond.Members[i].Was = was[i]
	}
	return was
}

// inMode makes a bond of the mode and pings through it.
func inMode(t *testing.T, m *Maker, mode nic.BondMode, d nic.Device, inside *netns.Namespace) {
	t.Helper()
	id := nic.NewID()
	d.Bond.Mode, d.Bond.Members = mode, slices.Clone(d.Bond.Members)
	if !mode.OneMAC() {
		for i := range d.Bond.Members {
			d.Bond.Members[i].Set.SpoofCheck, d.Bond.Members[i].Set.Trust = new(false), new(true)
		}
		d.Bond.Members[1].Set.MAC = nic.NewMAC()
	}
	owned(t, m, id, &d)
	must(t, m.Ensure(t.Context(), id, d))
	if _, err := m.Join(t.Context(), id, d, inside, "eth0", 0); err != nil {
		t.Errorf("%s: %v", mode, err)
	} else {
		netnstest.Run(t, inside, "ip", "addr", "add", "192.0.2.2/24", "dev", "eth0")
		pings(t, inside, "192.0.2.1")
		all, err := m.Members(t.Context(), id, d, inside)
		t.Logf("%s: %+v, %v", mode, all, err)
	}
	must(t, m.Remove(t.Context(), id, d, inside))
}

// switchOf makes the peers one switch, which has an address.
func switchOf(t *testing.T, host *link.Handle, peers []string) {
	t.Helper()
	sw := netnstest.New(t)
	h, err := link.Open(sw)
	must(t, err)
	defer h.Close()
	netnstest.Run(t, sw, "ip", "link", "add", "br0", "up", "type", "bridge")
	for _, name := range peers {
		_, err := host.Move(mustLink(t, host, name), h, link.Change{Name: name})
		must(t, err)
		netnstest.Run(t, sw, "ip", "link", "set", name, "master", "br0", "up")
	}
	netnstest.Run(t, sw, "ip", "addr", "add", "192.0.2.1/24", "dev", "br0")
}

// pull switches the PF of the member that sends off: traffic goes on over the other card,
// with the same MAC. The member does not come back with its PF: igb refuses a VF whose
// MAC it has set the reset that follows ("Reload the VF driver to resume operations").
func pull(t *testing.T, m *Maker, id nic.ID, d nic.Device, inside *netns.Namespace) {
	t.Helper()
	pf, found, err := m.functionIn(d.Bond.Members[0].PF, "")(m.host)
	if err != nil || !found {
		t.Fatalf("PF %s: %t, %v", d.Bond.Members[0].PF, found, err)
	}
	w, err := link.Subscribe(inside)
	must(t, err)
	defer w.Close()
	must(t, m.host.Set(pf, link.Change{Up: new(false)}))
	start := time.Now()
	down := members(t, m, id, d, inside, w, func(all []Member) bool { return !all[0].Up && all[1].Up })
	t.Logf("%s down: told after %s: %+v", pf.Name, time.Since(start), down)
	pings(t, inside, "192.0.2.1")
	t.Logf("and pinged after %s", time.Since(start))
	l, found, err := m.Locate(t.Context(), id, d, inside)
	if err != nil || !found || l.Link.MAC != d.MAC || down[0].Active || !down[1].Active || down[0].Failures == 0 {
		t.Errorf("over the other card: %+v, %v; members %+v", l, err, down)
	}
	must(t, m.host.Set(pf, link.Change{Up: new(true)}))
}

// killed: the namespace dies after the first steps of the bond, and the VFs come home by
// themselves, under whatever names (F30).
func killed(t *testing.T, m *Maker, id nic.ID, d nic.Device, steps int) {
	t.Helper()
	owned(t, m, id, &d)
	must(t, m.Ensure(t.Context(), id, d))
	inside, err := netns.New()
	must(t, err)
	makePart(t, m, id, d, inside, steps)
	w, err := link.Subscribe(m.host.Namespace())
	must(t, err)
	defer w.Close()
	must(t, inside.Close())
	start, end := time.Now(), time.After(time.Minute)
	for {
		_, found, err := m.Locate(t.Context(), id, d)
		must(t, err)
		if found {
			break
		}
		select {
		case <-w.C:
		case <-end:
			t.Fatalf("killed after step %d: the VFs do not come home:\n%s", steps, netnstest.Run(t, m.host.Namespace(), "ip", "-br", "link"))
		}
	}
	t.Logf("killed after step %d: all home after %s", steps, time.Since(start))
	must(t, m.Ensure(t.Context(), id, d))
	for _, part := range Parts(id, d) {
		if l := byName(t, m, part.VF.Name); l.Up || l.Master != 0 || l.MAC != d.MAC || l.MTU != 1500 || l.PCI != part.VF.PCI {
			t.Errorf("killed after step %d: came home as %+v", steps, l)
		}
	}
	must(t, m.Remove(t.Context(), id, d))
}
