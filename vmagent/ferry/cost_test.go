//go:build linux

package ferry

import (
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/undo"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
)

// A static attach with one address is four messages before the routes: what is
// the NIC like, bring it in, what addresses has it, give it one. Three more
// blackhole the metadata addresses.
func TestStaticAttachIsFewMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 1400)
	before, asked := w.ferry.host.Messages(), w.ferry.device.Messages()
	l := w.in(n, "eth0", true)
	after := w.ferry.host.Messages()
	if m := w.ferry.device.Messages(); m.Reads-asked.Reads != 1 || m.Dumps != asked.Dumps || after.Reads != before.Reads {
		t.Errorf("finding the NIC took %+v after %+v, want 1 read", m, asked)
	}
	if writes := after.Writes - before.Writes; writes != 1 {
		t.Errorf("move took %d writes, want 1", writes)
	}
	if dumps := after.Dumps - before.Dumps; dumps != 0 {
		t.Errorf("move took %d listings, want 0", dumps)
	}
	fresh, err := link.Open(container(t))
	w.ok(err)
	defer fresh.Close()
	var kept undo.Stack
	w.ok(settleFresh(fresh, false, &kept))
	if m := fresh.Messages(); m.Writes != 3 || m.Dumps != 0 {
		t.Errorf("three blackholes took %+v, want 3 writes", m)
	}
	m := w.messages(l, layer3("10.1.0.2/24", "fd01::2/64"))
	if m.Writes != 2 || m.Dumps != 2 || m.Reads != 0 {
		t.Errorf("two addresses took %+v, want 2 writes and 2 listings", m)
	}
}

// BenchmarkIn compares a whole static attach with the kernel's bare move.
func BenchmarkIn(b *testing.B) {
	b.Run("static", func(b *testing.B) {
		host := netnstest.New(b)
		m, err := device.New(host)
		ok(b, err)
		defer m.Close()
		f, err := New(host, m)
		ok(b, err)
		defer f.Close()
		id := nic.NewID()
		d := nic.Device{Kind: nic.Veth, MAC: nic.NewMAC(), Bridge: nic.Bridge{Name: "nfbr0", Owned: true}}
		ok(b, m.Ensure(b.Context(), id, d))
		inside := container(b)
		want := withDefault(layer3("10.1.0.2/24", "fd01::2/64"), "10.1.0.1", "fd01::1")
		for b.Loop() {
			l, err := f.In(b.Context(), id, d, inside, Entry{Name: "eth0", IPv6: true})
			ok(b, err)
			ok(b, f.Apply(b.Context(), inside, l.Index, want))
			b.StopTimer()
			ok(b, f.Out(b.Context(), id, d, inside))
			b.StartTimer()
		}
	})
	b.Run("kernel floor", func(b *testing.B) {
		host, err := link.Open(netnstest.New(b))
		ok(b, err)
		defer host.Close()
		inside, err := link.Open(container(b))
		ok(b, err)
		defer inside.Close()
		ok(b, host.AddPair(link.Pair{Name: "stay0", PeerName: "go0"}))
		stay, err := host.ByName("stay0")
		ok(b, err)
		ok(b, host.Set(stay, link.Change{Up: new(true)}))
		l, err := host.ByName("go0")
		ok(b, err)
		for b.Loop() {
			l, err = host.Move(l, inside, link.Change{Name: "eth0", Up: new(true)})
			ok(b, err)
			b.StopTimer()
			l, err = inside.Move(l, host, link.Change{Name: "go0", Up: new(false)})
			ok(b, err)
			b.StartTimer()
		}
	})
}

func ok(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
