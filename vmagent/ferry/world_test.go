//go:build linux

package ferry

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a host namespace with an agent's tools, and a container's
// namespace as docker run --network none leaves it.
type world struct {
	*testing.T
	host, inside *netns.Namespace
	hostLinks    *link.Handle
	links        *link.Handle // inside
	maker        *device.Maker
	ferry        *Ferry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, host: netnstest.New(t), inside: container(t)}
	var errs [4]error
	w.hostLinks, errs[0] = link.Open(w.host)
	w.links, errs[1] = link.Open(w.inside)
	w.maker, errs[2] = device.New(w.host)
	w.ferry, errs[3] = New(w.host, w.maker)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.hostLinks.Close()
		w.links.Close()
		if err := errors.Join(w.maker.Close(), w.ferry.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func container(t testing.TB) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	for _, scope := range []string{"all", "default"} {
		if err := errors.Join(ns.SetSysctl("1", "ipv6", "conf", scope, "disable_ipv6"),
			ns.SetSysctl("1", "ipv6", "conf", scope, "accept_ra")); err != nil {
			t.Fatal(err)
		}
	}
	return ns
}

// A made is one NIC and the three kinds it is tested as.
type made struct {
	id nic.ID
	d  nic.Device
}

var kinds = []nic.DeviceKind{nic.Veth, nic.Macvlan, nic.Found}

// make makes a NIC of the kind. The end of a veth stands in for a Found one.
func (w *world) make(kind nic.DeviceKind, mtu int) made {
	w.Helper()
	n := made{nic.NewID(), nic.Device{Kind: kind, MAC: nic.NewMAC(), MTU: mtu}}
	switch kind {
	case nic.Veth:
		n.d.Bridge = nic.Bridge{Name: "nfbr0", Owned: true}
	case nic.Macvlan:
		n.d.Parent = "parent0"
		if _, err := w.hostLinks.ByName("parent0"); err != nil {
			w.ok(w.hostLinks.AddPair(link.Pair{Name: "parent0", PeerName: "wire0"}))
			w.ok(w.hostLinks.Set(w.at(w.hostLinks, "wire0"), link.Change{Up: new(true)}))
			w.ok(w.hostLinks.Set(w.at(w.hostLinks, "parent0"), link.Change{Up: new(true)}))
		}
	case nic.Found:
		w.ok(w.hostLinks.AddPair(link.Pair{Name: "eth9", MAC: n.d.MAC, MTU: mtu, PeerName: "wire9"}))
		w.ok(w.hostLinks.Set(w.at(w.hostLinks, "wire9"), link.Change{Up: new(true)}))
	}
	w.ok(w.maker.Ensure(w.Context(), n.id, n.d))
	return n
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) at(h *link.Handle, name string) link.Link {
	w.Helper()
	l, err := h.ByName(name)
	w.ok(err)
	return l
}

func (w *world) in(n made, name string, ipv6 bool) link.Link {
	w.Helper()
	l, err := w.ferry.In(w.Context(), n.id, n.d, w.inside, Entry{Name: name, IPv6: ipv6})
	w.ok(err)
	return l
}

func (w *world) run(ns *netns.Namespace, args ...string) string {
	w.Helper()
	return netnstest.Run(w.T, ns, "ip", args...)
}

// clean checks that the NIC is at home as at birth, and the only trace.
func (w *world) clean(n made, mtu int) {
	w.Helper()
	at, found, err := w.maker.Locate(w.Context(), n.id, n.d)
	if err != nil || !found {
		w.Fatalf("the NIC is not at home: %t, %v", found, err)
	}
	want, err := w.maker.Clean(n.id, n.d)
	w.ok(err)
	want.MTU = mtu
	if dirt := dirty(at.Link, want); dirt != "" {
		w.Errorf("the NIC came home with %s: %+v", dirt, at.Link)
	}
	if out := w.run(w.host, "addr", "show", "dev", at.Link.Name, "up"); out != "" {
		w.Errorf("the NIC has at home:\n%s", out)
	}
	links, err := w.links.Links()
	if err != nil || len(links) != 1 {
		w.Errorf("in the container: %+v, %v; want lo alone", links, err)
	}
}
