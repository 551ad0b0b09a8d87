//go:build linux

package device

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/hotplug"
)

// member is a recipe for a VLAN of the trunk with the MAC.
func member(trunk nic.MAC, tag int) (nic.ID, nic.Device) {
	return nic.NewID(), nic.Device{Kind: nic.VLAN, MAC: nic.NewMAC(), Trunk: trunk, Tag: tag}
}

// Two containers have a VLAN each of a trunk that a cloud has plugged in. A kernel without
// VLANs refuses in words and is left as it was; suite vm has a kernel with them.
func TestMembersOfATrunkComeAndGo(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	first, d := member(nic.NewMAC(), 5)
	second, e := member(d.Trunk, 6)
	d.MTU = 1500
	plug(t, host, d.Trunk)
	before := hostState(t, host)
	if err := m.Ensure(t.Context(), first, d); errors.Is(err, link.ErrUnsupported) {
		if !strings.Contains(err.Error(), "need the kernel's VLANs: load 8021q") {
			t.Errorf("refused with: %v", err)
		}
		if after := hostState(t, host); after != before {
			t.Errorf("refused, and the host went from:\n%s\nto:\n%s", before, after)
		}
		t.Log("this kernel has no VLANs")
		return
	}
	for range 2 {
		must(t, m.Ensure(t.Context(), first, d))
		must(t, m.Ensure(t.Context(), second, e))
	}
	for id, want := range map[nic.ID]struct {
		nic.Device
		mtu int
	}{first: {d, 1500}, second: {e, 9001}} {
		l := byName(t, m, id.LinkName("nt"))
		if l.Kind != link.KindVLAN || l.VLAN != want.Tag || l.MAC != want.MAC || l.MTU != want.mtu || l.Alias != string(id) || l.Up {
			t.Errorf("member is %+v", l)
		}
		clean, err := m.Clean(id, want.Device)
		if err != nil || clean.MAC != l.MAC || clean.MTU != l.MTU || *clean.Alias != l.Alias || clean.Name != l.Name {
			t.Errorf("a clean member is %+v, %v; made was %+v", clean, err, l)
		}
	}
	if l := byName(t, m, "ens7"); !l.Up || l.MAC != d.Trunk {
		t.Errorf("their trunk is %+v", l)
	}
	other, taken := member(d.Trunk, 6)
	if err := m.Ensure(t.Context(), other, taken); err == nil || !strings.Contains(err.Error(), `VLAN 6 of trunk "ens7" is still that of `+string(second)) {
		t.Errorf("a number that another NIC has still: %v", err)
	}
	must(t, m.host.Set(byName(t, m, second.LinkName("nt")), link.Change{Alias: new("somebody's")}))
	if err := m.Ensure(t.Context(), other, taken); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), `it is VLAN 6 of trunk "ens7"`) {
		t.Errorf("a number that is taken: %v", err)
	}
	must(t, m.host.Set(byName(t, m, second.LinkName("nt")), link.Change{Alias: new(string(second))}))
	h, err := link.Open(container(t))
	must(t, err)
	defer h.Close()
	moved, err := m.host.Move(byName(t, m, first.LinkName("nt")), h, link.Change{Name: "eth0", Up: new(true)})
	must(t, err)
	// A container renames it, takes the mark off, and gives it another MAC.
	must(t, h.Set(moved, link.Change{Name: "mine", Alias: new("nothing"), MAC: nic.NewMAC()}))
	must(t, m.Ensure(t.Context(), first, d, h.Namespace()))
	absent(t, m, first.LinkName("nt"))
	at, found, err := m.Locate(t.Context(), first, d, h.Namespace())
	if err != nil || !found || at.Home || at.Link.Name != "mine" {
		t.Errorf("locate: got %+v, %t, %v; want mine", at, found, err)
	}
	d.Tag = 7 // it was plugged in anew
	must(t, m.Ensure(t.Context(), first, d, h.Namespace()))
	if l := byName(t, m, first.LinkName("nt")); l.VLAN != 7 || l.MAC != d.MAC {
		t.Errorf("with another number it is %+v", l)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), second, e))
	}
	if l := byName(t, m, "ens7"); !l.Up {
		t.Errorf("with a member left its trunk is %+v", l)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), first, d, h.Namespace()))
	}
	if after := hostState(t, host); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
}

// Without its trunk a member is waited for; and a recipe that lacks half is refused.
func TestAMemberWaitsForItsTrunk(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	id, d := member(nic.NewMAC(), 5)
	if err := m.Ensure(t.Context(), id, d); !errors.Is(err, hotplug.ErrNotFound) || !strings.Contains(err.Error(), d.Trunk.String()) {
		t.Errorf("without the trunk: %v", err)
	}
	if _, found, err := m.Locate(t.Context(), id, d); found || err != nil {
		t.Errorf("located: %t, %v", found, err)
	}
	must(t, m.Remove(t.Context(), id, d))
	for _, tag := range []int{0, 4095} {
		d.Tag = tag
		if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), "want 1 to 4094") {
			t.Errorf("VLAN %d: %v", tag, err)
		}
	}
	d.Tag, d.Trunk = 5, nic.MAC{}
	if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), "the trunk's MAC") {
		t.Errorf("without a trunk's MAC: %v", err)
	}
}
