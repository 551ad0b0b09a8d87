//go:build linux

package device

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device/devicetest"
)

// twoVFs is a bond of the VFs of two PFs.
func twoVFs(mode nic.BondMode) (nic.ID, nic.Device) {
	mac := nic.NewMAC()
	b := devicetest.Bond(mode, mac)
	b.Monitor = nic.Duration(20 * time.Millisecond)
	return nic.NewID(), nic.Device{Kind: nic.Bonded, MAC: mac, MTU: 1450, Bond: b}
}

// bonds says whether this kernel has bonds. One without refuses in words, and brings
// nothing in. Suite vm has one with them.
func bonds(t *testing.T, m *Maker, inside *netns.Namespace) bool {
	t.Helper()
	id, d := twoVFs(nic.BondActiveBackup)
	must(t, m.Ensure(t.Context(), id, d))
	_, err := m.Join(t.Context(), id, d, inside, "eth0", 0)
	if errors.Is(err, link.ErrUnsupported) {
		if !strings.Contains(err.Error(), "install the node's kernel modules") {
			t.Errorf("refused with: %v", err)
		}
		byName(t, m, "VF11")
		byName(t, m, "VF21")
		t.Log("this kernel has no bonds")
		return false
	}
	must(t, err)
	must(t, m.Remove(t.Context(), id, d, inside))
	return true
}

// pings waits until the switch answers.
func pings(t *testing.T, ns *netns.Namespace, addr string) {
	t.Helper()
	var out []byte
	var err error
	for range 50 {
		err = ns.Do(func() (err error) {
			out, err = exec.Command("ping", "-c1", "-W1", addr).CombinedOutput()
			return err
		})
		if err == nil {
			return
		}
	}
	t.Errorf("ping %s: %v\n%s\n%s", addr, err, out, netnstest.Run(t, ns, "ip", "-d", "link"))
}

func TestBondOfEachMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []nic.BondMode{nic.BondActiveBackup, nic.BondXOR, nic.BondRoundRobin, nic.BondTLB, nic.BondALB} {
		host, m, c := newCards(t, 2)
		inside := netnstest.New(t)
		if !bonds(t, m, inside) {
			return
		}
		id, d := twoVFs(mode)
		must(t, m.Ensure(t.Context(), id, d))
		before := netnstest.Run(t, host, "ip", "-br", "link")
		if at, found, err := m.Locate(t.Context(), id, d, inside); err != nil || !found || !at.Home {
			t.Errorf("%s, at home: %+v, %t, %v", mode, at, found, err)
		}
		var l link.Link
		for range 2 {
			must(t, m.Ensure(t.Context(), id, d, inside))
			var err error
			l, err = m.Join(t.Context(), id, d, inside, "eth0", 1400)
			must(t, err)
		}
		if l.Name != "eth0" || l.MAC != d.MAC || l.MTU != 1400 || !l.Up || l.Bond == nil || l.Bond.Mode != mode {
			t.Errorf("%s: the bond is %+v, %+v", mode, l, l.Bond)
		}
		if prefers := l.Bond.Primary != 0; prefers == (mode == nic.BondXOR || mode == nic.BondRoundRobin) {
			t.Errorf("%s: prefers %d", mode, l.Bond.Primary)
		}
		at, found, err := m.Locate(t.Context(), id, d, inside)
		if err != nil || !found || at.Home || at.Link.Index != l.Index {
			t.Errorf("%s: locate: %+v, %t, %v", mode, at, found, err)
		}
		onTop(t, c, inside)
		cutAndMend(t, m, c, id, d, inside)
		for range 2 {
			must(t, m.Remove(t.Context(), id, d, inside))
		}
		after := netnstest.Run(t, host, "ip", "-br", "link")
		if after != before {
			t.Errorf("%s: host before:\n%s\nafter:\n%s", mode, before, after)
		}
		if left := netnstest.Run(t, inside, "ip", "-br", "link"); strings.Count(left, "\n") != 1 {
			t.Errorf("%s: left in the container:\n%s", mode, left)
		}
		if c.Set() != 0 {
			t.Errorf("%s: %d are still set", mode, c.Set())
		}
	}
}

// onTop gives the bond an address, and a VLAN of the container's own with another.
func onTop(t *testing.T, c *devicetest.Cards, inside *netns.Namespace) {
	t.Helper()
	netnstest.Run(t, inside, "ip", "addr", "add", "192.0.2.2/24", "dev", "eth0")
	pings(t, inside, "192.0.2.1")
	netnstest.Run(t, inside, "ip", "link", "add", "link", "eth0", "name", "eth0.5", "type", "vlan", "id", "5")
	netnstest.Run(t, inside, "ip", "addr", "add", "198.51.100.2/24", "dev", "eth0.5")
	netnstest.Run(t, inside, "ip", "link", "set", "eth0.5", "up")
	netnstest.Run(t, c.Switch, "ip", "link", "add", "link", "br0", "name", "br0.5", "type", "vlan", "id", "5")
	netnstest.Run(t, c.Switch, "ip", "addr", "add", "198.51.100.1/24", "dev", "br0.5")
	netnstest.Run(t, c.Switch, "ip", "link", "set", "br0.5", "up")
	pings(t, inside, "198.51.100.1")
}

// cutAndMend pulls each cable in turn: traffic goes on, and the failed member is told.
func cutAndMend(t *testing.T, m *Maker, c *devicetest.Cards, id nic.ID, d nic.Device, inside *netns.Namespace) {
	t.Helper()
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	for i := range 2 {
		w, err := link.Subscribe(inside)
		must(t, err)
		c.Cable(t, i, false)
		down := members(t, m, id, d, inside, w, func(all []Member) bool { return !all[i].Up && all[1-i].Up })
		w.Close()
		if !down[i].Joined || down[i].Failures < 1 || down[i].PCI != devicetest.PCI(i) || d.Bond.Mode == nic.BondActiveBackup && (down[i].Active || !down[1-i].Active) {
			t.Errorf("%s: with cable %d cut: %+v", d.Bond.Mode, i, down)
		}
		pings(t, inside, "192.0.2.1")
		if l := mustLink(t, h, "eth0"); l.MAC != d.MAC && d.Bond.Mode != nic.BondTLB {
			t.Errorf("%s: with cable %d cut its MAC is %s; want %s", d.Bond.Mode, i, l.MAC, d.MAC)
		}
		w, err = link.Subscribe(inside)
		must(t, err)
		c.Cable(t, i, true)
		members(t, m, id, d, inside, w, func(all []Member) bool { return all[0].Up && all[1].Up })
		w.Close()
		pings(t, inside, "192.0.2.1")
	}
}

// members waits, by the kernel's events, until they are as asked for.
func members(t *testing.T, m *Maker, id nic.ID, d nic.Device, inside *netns.Namespace, w *link.Watch, is func([]Member) bool) []Member {
	t.Helper()
	end := time.After(time.Minute)
	for {
		all, err := m.Members(t.Context(), id, d, inside)
		must(t, err)
		if len(all) == 2 && is(all) {
			return all
		}
		select {
		case <-w.C:
		case <-end:
			t.Fatalf("%s: members stay %+v", d.Bond.Mode, all)
		}
	}
}

// The agent dies after each step of making the bond. Then it is finished, or taken
// back, or the container is killed with it.
func TestBondIsInterruptedAtEachStep(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"finished", "taken back", "killed"} {
		for steps := range 5 {
			name := fmt.Sprintf("%s after step %d", then, steps)
			host, m, c := newCards(t, 2)
			first := netnstest.New(t)
			if !bonds(t, m, first) {
				return
			}
			id, d := twoVFs(nic.BondActiveBackup)
			must(t, m.Ensure(t.Context(), id, d))
			before := netnstest.Run(t, host, "ip", "-br", "link")
			inside, err := netns.New()
			must(t, err)
			makePart(t, m, id, d, inside, steps)
			switch then {
			case "finished":
				must(t, m.Ensure(t.Context(), id, d, inside))
				l, err := m.Join(t.Context(), id, d, inside, "eth0", 0)
				must(t, err)
				all, err := m.Members(t.Context(), id, d, inside)
				must(t, err)
				if !l.Up || l.MTU != 1450 || !all[0].Joined || !all[1].Joined {
					t.Errorf("%s: %+v, %+v", name, l, all)
				}
				must(t, m.Remove(t.Context(), id, d, inside))
			case "taken back":
				must(t, m.Remove(t.Context(), id, d, inside))
			case "killed": // hardware comes home then; these ends die
				must(t, inside.Close())
				must(t, m.Remove(t.Context(), id, d))
			}
			if after := netnstest.Run(t, host, "ip", "-br", "link"); after != before && then != "killed" {
				t.Errorf("%s: host before:\n%s\nafter:\n%s", name, before, after)
			}
			if c.Set() != 0 {
				t.Errorf("%s: %d are still set", name, c.Set())
			}
			if then != "killed" {
				must(t, inside.Close())
			}
		}
	}
}

// makePart does the first steps of Join.
func makePart(t *testing.T, m *Maker, id nic.ID, d nic.Device, inside *netns.Namespace, steps int) {
	t.Helper()
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	var bond link.Link
	parts := Parts(id, d)
	for _, step := range []func() error{
		func() (err error) { bond, err = m.ensureBond(id, d, h, 1450); return err },
		func() error { return m.joinMember(t.Context(), id, parts[0], h, bond, memberName(id, 0)) },
		func() error { return m.joinMember(t.Context(), id, parts[1], h, bond, memberName(id, 1)) },
		func() (err error) { _, err = m.finishBond(d, h, bond.Index, "eth0", 1450); return err },
	}[:steps] {
		must(t, step())
	}
}

// A container with NET_ADMIN renames its bond, takes a member out and another apart.
func TestBondThatTheContainerSpoils(t *testing.T) {
	t.Parallel()
	host, m, _ := newCards(t, 2)
	inside := netnstest.New(t)
	if !bonds(t, m, inside) {
		return
	}
	id, d := twoVFs(nic.BondActiveBackup)
	must(t, m.Ensure(t.Context(), id, d))
	before := netnstest.Run(t, host, "ip", "-br", "link")
	_, err := m.Join(t.Context(), id, d, inside, "eth0", 0)
	must(t, err)
	for _, args := range []string{
		"link set eth0 down", "link set eth0 name mine", "link set mine up", "link set " + memberName(id, 1) + " nomaster",
		"link set " + memberName(id, 1) + " name other up", "link add eth0 type bond",
		"link set other down", "link set other master eth0",
	} {
		netnstest.Run(t, inside, "ip", strings.Fields(args)...)
	}
	must(t, m.Remove(t.Context(), id, d, inside))
	if after := netnstest.Run(t, host, "ip", "-br", "link"); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
}

func TestBondsThatAreRefused(t *testing.T) {
	t.Parallel()
	_, m, c := newCards(t, 2)
	inside := netnstest.New(t)
	for want, spoil := range map[string]func(*nic.Device){
		"a VF cannot speak LACP":     func(d *nic.Device) { d.Bond.Mode = nic.Bond8023AD },
		"are both of PF":             func(d *nic.Device) { d.Bond.Members[1].PF = d.Bond.Members[0].PF },
		"bond of 1 VFs":              func(d *nic.Device) { d.Bond.Members = d.Bond.Members[:1] },
		"each member has the bond's": func(d *nic.Device) { d.Bond.Members[1].Set.MAC = nic.NewMAC() },
	} {
		id, d := twoVFs(nic.BondActiveBackup)
		spoil(&d)
		_, err := m.Join(t.Context(), id, d, inside, "eth0", 0)
		for _, err := range []error{err, m.Ensure(t.Context(), id, d), m.Remove(t.Context(), id, d, inside)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v; want %q in it", err, want)
			}
		}
	}
	id, d := twoVFs(nic.BondXOR)
	if _, err := m.Join(t.Context(), id, d, m.host.Namespace(), "eth0", 0); err == nil {
		t.Error("a bond was made in the host's namespace")
	}
	if calls := c.Said(); slices.ContainsFunc(calls, func(s string) bool { return strings.HasPrefix(s, "apply") }) {
		t.Errorf("refused, after %v", calls)
	}
}
