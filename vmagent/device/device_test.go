//go:build linux

package device

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMaker(t testing.TB) (*netns.Namespace, *Maker) {
	t.Helper()
	host := netnstest.New(t)
	m, err := New(host)
	must(t, err)
	t.Cleanup(func() { m.Close() })
	return host, m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func byName(t testing.TB, m *Maker, name string) link.Link {
	t.Helper()
	l, err := m.host.ByName(name)
	must(t, err)
	return l
}

func absent(t testing.TB, m *Maker, names ...string) {
	t.Helper()
	for _, name := range names {
		if l, err := m.host.ByName(name); !errors.Is(err, link.ErrNotFound) {
			t.Errorf("link %q: got %+v, %v; want none", name, l, err)
		}
	}
}

func veth(mtu int) (nic.ID, nic.Device) {
	return nic.NewID(), nic.Device{
		Kind: nic.Veth, MAC: nic.NewMAC(), MTU: mtu, Bridge: nic.Bridge{Name: "nfbr0", Owned: true},
	}
}

func TestVethComesAndGoes(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "up0", "type", "veth", "peer", "name", "wire0")
	id, d := veth(1400)
	d.Bridge.Uplinks = []string{"up0"}
	for range 2 {
		must(t, m.Ensure(t.Context(), id, d))
	}
	br, end, inner := byName(t, m, "nfbr0"), byName(t, m, id.LinkName("nf")), byName(t, m, id.LinkName("nt"))
	if br.Alias != bridgeAlias || !br.Up || br.Kind != link.KindBridge {
		t.Errorf("bridge is %+v", br)
	}
	if up := byName(t, m, "up0"); up.Master != br.Index || !up.Up {
		t.Errorf("uplink is %+v", up)
	}
	if end.Alias != string(id) || end.Master != br.Index || !end.Up || end.MTU != 1400 {
		t.Errorf("host end is %+v", end)
	}
	if inner.MAC != d.MAC || inner.MTU != 1400 || inner.Up || inner.Master != 0 {
		t.Errorf("inner end is %+v", inner)
	}
	if out := netnstest.Run(t, host, "ip", "-6", "addr", "show", "scope", "link", "dev", end.Name); out != "" {
		t.Errorf("the host end has an address of its own:\n%s", out)
	}
	left, err := m.Leftovers(t.Context())
	if err != nil || len(left) != 1 || left[0] != (Leftover{id, end.Name}) {
		t.Errorf("leftovers: got %v, %v", left, err)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), id, d))
	}
	absent(t, m, "nfbr0", end.Name, inner.Name)
	if up := byName(t, m, "up0"); up.Master != 0 {
		t.Errorf("released uplink is %+v", up)
	}
}

// A bridge keeps frames to a MAC of its own ports to itself: with the
// container's MAC on the host's end, the container would hear nothing.
func TestTheHostEndNeverHasTheContainersMAC(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	for _, first := range []byte{0xfe, 0xfa, 0x02} {
		id, d := veth(0)
		d.MAC[0] = first
		must(t, m.Ensure(t.Context(), id, d))
		end := byName(t, m, id.LinkName("nf"))
		if end.MAC == d.MAC || end.MAC[0] != 0xfe {
			t.Errorf("container's MAC %s: the host's end has %s", d.MAC, end.MAC)
		}
		must(t, m.host.Set(end, link.Change{MAC: d.MAC})) // as an older agent made it
		must(t, m.Ensure(t.Context(), id, d))
		if end := byName(t, m, id.LinkName("nf")); end.MAC == d.MAC {
			t.Errorf("container's MAC %s: the host's end has it still", d.MAC)
		}
	}
}

func TestBridgeKeepsItsMACAndGoesWithTheLastNIC(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	first, d1 := veth(0)
	second, d2 := veth(0)
	d2.MAC = nic.MAC{0x02} // lower than the bridge's can be
	must(t, m.Ensure(t.Context(), first, d1))
	mac := byName(t, m, "nfbr0").MAC
	must(t, m.Ensure(t.Context(), second, d2))
	must(t, m.Remove(t.Context(), first, d1))
	if got := byName(t, m, "nfbr0").MAC; got != mac {
		t.Errorf("bridge's MAC went from %s to %s", mac, got)
	}
	must(t, m.Remove(t.Context(), second, d2))
	absent(t, m, "nfbr0")
}

// A bridge that takes its MAC from its ports must not change it for ours: the
// neighbours of the host have the old one in their caches.
func TestBridgeNotOwnedKeepsItsMAC(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "nfbr0", "type", "bridge")
	netnstest.Run(t, host, "ip", "link", "add", "port0", "address", "02:00:00:00:00:07", "master", "nfbr0", "type", "veth", "peer", "name", "wire0")
	before := byName(t, m, "nfbr0").MAC
	id, d := veth(0)
	d.Bridge.Owned, d.MAC = false, nic.MAC{0x02, 0, 0, 0, 0, 1}
	must(t, m.Ensure(t.Context(), id, d))
	if after := byName(t, m, "nfbr0").MAC; after != before {
		t.Errorf("bridge's MAC went from %s to %s", before, after)
	}
}

func TestBridgeNotOwnedIsNeitherMadeNorRemoved(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	id, d := veth(0)
	d.Bridge.Owned = false
	if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), `bridge "nfbr0" does not exist: make it`) {
		t.Errorf("absent bridge: got %v", err)
	}
	netnstest.Run(t, host, "ip", "link", "add", "nfbr0", "type", "bridge")
	must(t, m.Ensure(t.Context(), id, d))
	must(t, m.Remove(t.Context(), id, d))
	byName(t, m, "nfbr0")
	// Without our mark it stays, even if a recipe now says that it is ours.
	d.Bridge.Owned = true
	if err := m.Ensure(t.Context(), id, d); !errors.Is(err, ErrForeign) {
		t.Errorf("unmarked bridge: got %v, want ErrForeign", err)
	}
	must(t, m.Remove(t.Context(), id, d))
	byName(t, m, "nfbr0")
}

func TestForeignThingsAreLeftAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		plant func(id nic.ID) []string
	}{
		{"other kind", func(id nic.ID) []string {
			return []string{"link", "add", id.LinkName("nf"), "type", "bridge"}
		}},
		{"a veth without our mark", func(id nic.ID) []string {
			return []string{"link", "add", id.LinkName("nf"), "type", "veth", "peer", "name", id.LinkName("nt")}
		}},
		{"a veth with another's mark", func(id nic.ID) []string {
			return []string{"link", "add", id.LinkName("nf"), "alias", "theirs", "type", "veth", "peer", "name", "far0"}
		}},
		{"temporary name", func(id nic.ID) []string {
			return []string{"link", "add", id.LinkName("nt"), "type", "bridge"}
		}},
		{"uplink is a port", func(nic.ID) []string {
			return []string{"link", "add", "up0", "master", "other0", "type", "veth", "peer", "name", "up1"}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, m := newMaker(t)
			id, d := veth(0)
			netnstest.Run(t, host, "ip", "link", "add", "other0", "type", "bridge")
			netnstest.Run(t, host, "ip", tt.plant(id)...)
			if strings.Contains(tt.name, "uplink") {
				d.Bridge.Uplinks = []string{"up0"}
			}
			before, err := m.host.Links()
			must(t, err)
			err = m.Ensure(t.Context(), id, d)
			if err == nil {
				t.Error("made the NIC over something that is not ours")
			} else if len(d.Bridge.Uplinks) > 0 && !strings.Contains(err.Error(), `a port of "other0" already`) {
				t.Errorf("got %v; want the bridge named that has the uplink", err)
			}
			if err := m.Remove(t.Context(), id, d); err != nil && !errors.Is(err, ErrForeign) {
				t.Errorf("remove: %v", err)
			}
			for _, was := range before {
				now, err := m.host.ByIndex(was.Index)
				if err != nil || now.Name != was.Name || now.Master != was.Master || now.Alias != was.Alias {
					t.Errorf("%q became %+v, %v", was.Name, now, err)
				}
			}
		})
	}
}

func TestUplinkWithAddressesIsRefused(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "up0", "type", "veth", "peer", "name", "wire0")
	netnstest.Run(t, host, "ip", "addr", "add", "192.0.2.1/24", "dev", "up0")
	id, d := veth(0)
	d.Bridge.Uplinks = []string{"up0"}
	if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), "192.0.2.1/24") {
		t.Errorf("got %v; want a refusal that names the address", err)
	}
	if up := byName(t, m, "up0"); up.Master != 0 {
		t.Error("the uplink was taken all the same")
	}
}

// Every state that a crash can leave between two messages is finished.
func TestHalfMadeIsFinished(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(t *testing.T, m *Maker, id nic.ID, end, inner link.Link)
	}{
		{"no alias, down", func(t *testing.T, m *Maker, _ nic.ID, end, _ link.Link) {
			must(t, m.host.Set(end, link.Change{Alias: new(""), Up: new(false)}))
		}},
		{"no bridge", func(t *testing.T, m *Maker, _ nic.ID, end, _ link.Link) {
			must(t, m.host.Set(end, link.Change{Master: new(0)}))
			must(t, m.host.Delete(byName(t, m, "nfbr0")))
		}},
		{"unmarked bridge", func(t *testing.T, m *Maker, _ nic.ID, end, _ link.Link) {
			must(t, m.host.Delete(end))
			must(t, m.host.Set(byName(t, m, "nfbr0"), link.Change{Alias: new(""), Up: new(false)}))
		}},
		{"renamed by hand", func(t *testing.T, m *Maker, _ nic.ID, end, _ link.Link) {
			must(t, m.host.Set(end, link.Change{Name: "mine"}))
		}},
		{"inner end dirty", func(t *testing.T, m *Maker, _ nic.ID, _, inner link.Link) {
			must(t, m.host.Set(inner, link.Change{Name: "eth0", MAC: nic.NewMAC(), MTU: 1300, Up: new(true)}))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, m := newMaker(t)
			id, d := veth(1400)
			must(t, m.Ensure(t.Context(), id, d))
			tt.spoil(t, m, id, byName(t, m, id.LinkName("nf")), byName(t, m, id.LinkName("nt")))
			must(t, m.Ensure(t.Context(), id, d))
			br, end, inner := byName(t, m, "nfbr0"), byName(t, m, id.LinkName("nf")), byName(t, m, id.LinkName("nt"))
			if br.Alias != bridgeAlias || !br.Up || end.Alias != string(id) || end.Master != br.Index || !end.Up {
				t.Errorf("bridge is %+v, host end is %+v", br, end)
			}
			if inner.MAC != d.MAC || inner.MTU != 1400 || inner.Up || end.ParentIndex != inner.Index {
				t.Errorf("inner end is %+v", inner)
			}
		})
	}
}

func TestWorkersShareABridge(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			id, d := veth(0)
			for range 3 {
				if err := errors.Join(m.Ensure(t.Context(), id, d), m.Remove(t.Context(), id, d)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	links, err := m.host.Links()
	if err != nil || len(links) != 1 { // lo
		t.Errorf("left: %+v, %v", links, err)
	}
}

func TestMacvlanComesAndGoes(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "parent0", "mtu", "1450", "type", "veth", "peer", "name", "wire0")
	id, d := nic.NewID(), nic.Device{Kind: nic.Macvlan, MAC: nic.NewMAC(), Parent: "parent0"}
	if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), "is down: set it up") {
		t.Errorf("parent down: got %v", err)
	}
	netnstest.Run(t, host, "ip", "link", "set", "parent0", "up")
	for range 2 {
		must(t, m.Ensure(t.Context(), id, d))
	}
	l := byName(t, m, id.LinkName("nt"))
	if l.Kind != link.KindMacvlan || l.MAC != d.MAC || l.MTU != 1450 || l.Alias != string(id) || l.Up {
		t.Errorf("macvlan is %+v", l)
	}
	// In a container, renamed and with another MAC.
	inside := netnstest.New(t)
	h, err := link.Open(inside)
	must(t, err)
	defer h.Close()
	moved, err := m.host.Move(l, h, link.Change{Name: "eth7", MAC: nic.NewMAC(), Up: new(true)})
	must(t, err)
	must(t, m.Ensure(t.Context(), id, d, inside))
	absent(t, m, id.LinkName("nt"))
	at, found, err := m.Locate(t.Context(), id, d, inside)
	if err != nil || !found || at.Home || at.Link.Index != moved.Index {
		t.Errorf("locate: got %+v, %t, %v", at, found, err)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), id, d, inside))
	}
	if _, err := h.ByIndex(moved.Index); !errors.Is(err, link.ErrNotFound) {
		t.Errorf("after remove: %v, want ErrNotFound", err)
	}
	if _, found, err := m.Locate(t.Context(), id, d); found || err != nil {
		t.Errorf("locate after remove: %t, %v", found, err)
	}
}

func TestAMacvlanFitsItsParent(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	netnstest.Run(t, host, "ip", "link", "add", "parent0", "mtu", "1450", "up", "type", "veth", "peer", "name", "wire0")
	id, d := nic.NewID(), nic.Device{Kind: nic.Macvlan, MAC: nic.NewMAC(), Parent: "parent0", MTU: 1451}
	tooLarge := func(when string) {
		t.Helper()
		if err := m.Ensure(t.Context(), id, d); err == nil || !strings.Contains(err.Error(), `MTU 1451 of the network is above the 1450 of its parent interface "parent0"`) {
			t.Errorf("%s: got %v, want both numbers", when, err)
		}
	}
	tooLarge("at first")
	absent(t, m, id.LinkName("nt"))
	netnstest.Run(t, host, "ip", "link", "set", "parent0", "mtu", "1451")
	must(t, m.Ensure(t.Context(), id, d))
	netnstest.Run(t, host, "ip", "link", "set", "parent0", "mtu", "1450") // the kernel lowers the macvlan's too
	tooLarge("when the parent's was lowered")
	netnstest.Run(t, host, "ip", "link", "set", "parent0", "mtu", "9000")
	must(t, m.Ensure(t.Context(), id, d))
	if l := byName(t, m, id.LinkName("nt")); l.MTU != 1451 {
		t.Errorf("MTU is %d, want 1451", l.MTU)
	}
}

// A container may rename its NIC, change its MAC and add names; and another
// container may have a link with the same index and the same peer index.
func TestLocateIsNotFooled(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	id, d := veth(0)
	must(t, m.Ensure(t.Context(), id, d))
	inner := byName(t, m, id.LinkName("nt"))
	ours, decoy := netnstest.New(t), netnstest.New(t)
	h, err := link.Open(ours)
	must(t, err)
	defer h.Close()
	moved, err := m.host.Move(inner, h, link.Change{Name: "eth0", Up: new(true)})
	must(t, err)
	end := byName(t, m, id.LinkName("nf"))
	netnstest.Run(t, ours, "ip", "link", "property", "add", "dev", "eth0", "altname", id.LinkName("nt"))
	must(t, h.Set(moved, link.Change{Name: "hidden", MAC: nic.NewMAC(), Alias: new("nothing")}))
	netnstest.Run(t, decoy, "ip", "link", "add", "eth0", "index", fmt.Sprint(moved.Index), "address", d.MAC.String(),
		"type", "veth", "peer", "name", "peer0", "index", fmt.Sprint(end.Index))
	at, found, err := m.Locate(t.Context(), id, d, decoy, ours)
	if err != nil || !found || at.Namespace != ours || at.Link.Name != "hidden" {
		t.Errorf("got %+v, %t, %v", at, found, err)
	}
	if _, _, err := m.Locate(t.Context(), id, d, decoy); !errors.Is(err, ErrElsewhere) {
		t.Errorf("only the decoy: got %v, want ErrElsewhere", err)
	}
	must(t, m.Remove(t.Context(), id, d))
	if _, err := h.ByIndex(moved.Index); !errors.Is(err, link.ErrNotFound) {
		t.Errorf("after remove: %v, want ErrNotFound", err)
	}
}

func TestRecipesAreChecked(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	id, good := veth(0)
	noMAC, badBridge, badKind := good, good, good
	noMAC.MAC, badBridge.Bridge.Name, badKind.Kind = nic.MAC{}, "-f", "vfio"
	tests := []struct {
		name string
		id   nic.ID
		d    nic.Device
	}{
		{"no MAC", id, noMAC},
		{"bridge name", id, badBridge},
		{"kind", id, badKind},
		{"ipvlan without MAC", id, nic.Device{Kind: nic.Ipvlan}},
		{"macvlan parent", id, nic.Device{Kind: nic.Macvlan, MAC: good.MAC, Parent: "../x"}},
		{"id", "nic-../../etc", good},
	}
	for _, tt := range tests {
		if err := m.Ensure(t.Context(), tt.id, tt.d); err == nil {
			t.Errorf("%s: was accepted", tt.name)
		}
	}
}
