//go:build linux

package ferry

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
	"github.com/nicferry/nicferry/vmagent/device/devicetest"
)

// functions gives the world two VFs, of which it makes a NIC.
func (w *world) functions(kind nic.DeviceKind) made {
	w.Helper()
	w.maker.UseFunctions(devicetest.New(w.T, w.host, 2))
	n := made{nic.NewID(), nic.Device{Kind: kind, MAC: nic.NewMAC(), MTU: 1400}}
	if kind == nic.SRIOV {
		n.d.VF = devicetest.VF(0, n.d.MAC)
	} else {
		n.d.Bond = devicetest.Bond(nic.BondActiveBackup, n.d.MAC)
	}
	w.ok(w.maker.Ensure(w.Context(), n.id, n.d))
	return n
}

// joined brings a bond in, and says whether this kernel has any. One without refuses,
// and is left as it was. Suite vm has one with them.
func (w *world) joined(n made) bool {
	w.Helper()
	l, err := w.ferry.In(w.Context(), n.id, n.d, w.inside, Entry{Name: "eth0", IPv6: true})
	if errors.Is(err, link.ErrUnsupported) {
		w.home(n)
		if got, err := w.inside.Sysctl("ipv6", "conf", "default", "disable_ipv6"); got != "1" || err != nil {
			w.Errorf("refused, and disable_ipv6 is %q, %v", got, err)
		}
		w.Log("this kernel has no bonds")
		return false
	}
	w.ok(err)
	if l.Name != "eth0" || l.MAC != n.d.MAC || l.MTU != 1400 || !l.Up || l.Bond == nil {
		w.Errorf("in the container it is %+v", l)
	}
	return true
}

// home checks that each VF is home as at birth.
func (w *world) home(n made) {
	w.Helper()
	for _, part := range device.Parts(n.id, n.d) {
		w.clean(made{n.id, part}, 1400)
	}
}

func TestBondInAndOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.functions(nic.Bonded)
	if !w.joined(n) {
		return
	}
	for key, value := range map[string]string{"accept_ra": "0", "disable_ipv6": "0"} {
		if got, err := w.inside.Sysctl("ipv6", "conf", "eth0", key); got != value || err != nil {
			t.Errorf("%s: got %q, %v; want %s", key, got, err, value)
		}
	}
	before := w.at(w.links, "eth0").Index
	w.joined(n) // is there
	if after := w.at(w.links, "eth0").Index; after != before {
		t.Errorf("the bond was made anew: %d, %d", before, after)
	}
	for range 2 {
		w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
		w.home(n)
	}
	w.joined(n)
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
	w.home(n)
	w.ok(w.maker.Remove(t.Context(), n.id, n.d))
}

// What a container makes of its NIC does not reach the next one.
func TestF31_FunctionsComeHomeClean(t *testing.T) {
	t.Parallel()
	for _, kind := range []nic.DeviceKind{nic.SRIOV, nic.Bonded} {
		w := newWorld(t)
		n := w.functions(kind)
		if kind == nic.Bonded && !w.joined(n) {
			return
		}
		if kind == nic.SRIOV {
			w.in(n, "eth0", true)
		}
		for _, args := range []string{
			"addr add 192.0.2.2/24 dev eth0", "link add link eth0 name child type macvlan", "link set eth0 promisc on mtu 1300",
			"link set eth0 alias mine txqueuelen 7", "link property add dev eth0 altname VF11", "route add 198.51.100.0/24 via 192.0.2.1",
		} {
			w.run(w.inside, strings.Fields(args)...)
		}
		w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
		w.home(n)
	}
}

// A name that is taken is asked for before anything is moved; one that is taken a moment
// later has all brought back.
func TestBondWhoseNameIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.functions(nic.Bonded)
	w.run(w.inside, "link", "add", "eth0", "type", "bridge")
	_, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, Entry{Name: "eth0"})
	if !errors.Is(err, ErrNameTaken) {
		t.Errorf("got %v; want %v", err, ErrNameTaken)
	}
	w.run(w.inside, "link", "del", "eth0")
	w.home(n)
}

// A container that spreads the members over namespaces of its own, and dies.
func TestBondThatIsSpreadIsRecovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.functions(nic.Bonded)
	if !w.joined(n) {
		return
	}
	hidden := container(t)
	start(t, hidden, "sleep", "600")
	h, err := link.Open(hidden)
	w.ok(err)
	defer h.Close()
	second := device.Parts(n.id, n.d)[1]
	at, found, err := w.maker.Locate(t.Context(), n.id, second, w.inside)
	if err != nil || !found {
		t.Fatalf("the second member: %t, %v", found, err)
	}
	_, err = w.links.Move(at.Link, h, link.Change{Name: "secret"})
	w.ok(err)
	s, astray, err := w.ferry.Recover(t.Context(), n.id, n.d, w.inside)
	if err != nil || !astray || s.Name != "secret" || s.Namespace != hidden.ID() {
		t.Errorf("recover: %+v, %t, %v; want it from %s", s, astray, err, hidden.ID())
	}
	w.home(n)
	if nobody := (*netns.Namespace)(nil); w.ferry.Out(t.Context(), n.id, n.d, nobody) != nil {
		t.Error("a bond that is home cannot be brought home")
	}
}
