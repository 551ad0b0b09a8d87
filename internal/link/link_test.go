//go:build linux

package link

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) (*netns.Namespace, *Handle) {
	t.Helper()
	ns := netnstest.New(t)
	h, err := Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return ns, h
}

func mustName(t testing.TB, h *Handle, name string) Link {
	t.Helper()
	l, err := h.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	macA = nic.MAC{0x02, 0, 0, 0, 0, 0x0a}
	macB = nic.MAC{0x02, 0, 0, 0, 0, 0x0b}
)

func TestAddSetDelete(t *testing.T) {
	t.Parallel()
	ns, h := open(t)
	must(t, h.AddBridge("br0", macB))
	br := mustName(t, h, "br0")
	must(t, h.AddPair(Pair{Name: "a0", PeerName: "b0", MAC: nic.MAC{0xfe, 1}, PeerMAC: macA, MTU: 1400, Master: br.Index}))
	if err := h.AddPair(Pair{Name: "a0", PeerName: "c0"}); !errors.Is(err, ErrExists) {
		t.Errorf("second a0: got %v, want ErrExists", err)
	}
	a, b := mustName(t, h, "a0"), mustName(t, h, "b0")
	if a.Kind != KindVeth || a.Master != br.Index || a.MTU != 1400 || a.ParentIndex != b.Index || a.ParentNSID != SameNamespace {
		t.Errorf("first end is %+v", a)
	}
	if b.MAC != macA || b.MTU != 1400 || b.Up {
		t.Errorf("second end is %+v", b)
	}
	must(t, h.Set(a, Change{Alias: new("it's mine"), NoIPv6Auto: true}))
	must(t, h.Set(a, Change{Up: new(true)}))
	must(t, h.Set(b, Change{Name: "b1", MAC: macB, MTU: 1300, Up: new(true)}))
	netnstest.Run(t, ns, "ip", "link", "set", "b1", "promisc", "on")
	netnstest.Run(t, ns, "ip", "link", "property", "add", "dev", "b1", "altname", "an-alternative-name")
	if got := netnstest.Run(t, ns, "ip", "-6", "addr", "show", "dev", "a0"); got != "" {
		t.Errorf("a0 has IPv6 addresses of its own:\n%s", got)
	}
	b = mustName(t, h, "b1")
	if b.MAC != macB || b.MTU != 1300 || !b.Up || !b.Promisc || !b.HasName("an-alternative-name") {
		t.Errorf("changed end is %+v", b)
	}
	must(t, h.DropAltNames(b))
	must(t, h.Set(b, Change{Plain: true, Up: new(false)}))
	if b = mustName(t, h, "b1"); b.Up || b.Promisc || len(b.AltNames) != 0 {
		t.Errorf("reset end is %+v", b)
	}
	found, err := h.ByAlias("it's mine")
	if err != nil || len(found) != 1 || found[0].Index != a.Index {
		t.Errorf("by alias: got %+v, %v", found, err)
	}
	must(t, h.Set(a, Change{Master: new(0), Alias: new("")}))
	if a = mustName(t, h, "a0"); a.Master != 0 || a.Alias != "" {
		t.Errorf("released end is %+v", a)
	}
	mv0 := Macvlan{Name: "mv0", Parent: b.Index, Index: 1 << 30, MAC: macA, MTU: 1200}
	must(t, h.AddMacvlan(mv0))
	mv0.Name = "mv1"
	if err := h.AddMacvlan(mv0); !errors.Is(err, ErrExists) {
		t.Errorf("second link with one index: got %v, want ErrExists", err)
	}
	if mv := mustName(t, h, "mv0"); mv.Index != 1<<30 || mv.Kind != KindMacvlan || mv.ParentIndex != b.Index || mv.MAC != macA || mv.MTU != 1200 {
		t.Errorf("macvlan is %+v", mv)
	}
	for range 2 { // a link that is gone is no error
		must(t, h.Delete(a))
	}
	if _, err := h.ByIndex(b.Index); !errors.Is(err, ErrNotFound) {
		t.Errorf("peer of a deleted veth: got %v, want ErrNotFound", err)
	}
	if err := h.Set(b, Change{Up: new(true)}); !errors.Is(err, ErrNotFound) {
		t.Errorf("set a gone link: got %v, want ErrNotFound", err)
	}
}

func TestMoveIsOneMessage(t *testing.T) {
	t.Parallel()
	_, h := open(t)
	target, inside := open(t)
	must(t, h.AddPair(Pair{Name: "a0", PeerName: "b0"}))
	a, b := mustName(t, h, "a0"), mustName(t, h, "b0")
	before := h.Messages().Writes
	moved, err := h.Move(b, inside, Change{Name: "eth0", MAC: macA, MTU: 1400, Up: new(true)})
	must(t, err)
	if n := h.Messages().Writes - before; n != 1 {
		t.Errorf("move took %d messages", n)
	}
	if moved.Name != "eth0" || moved.MAC != macA || moved.MTU != 1400 || !moved.Up || moved.ParentIndex != a.Index {
		t.Errorf("moved link is %+v", moved)
	}
	nsid, err := h.NSID(target)
	must(t, err)
	if a = mustName(t, h, "a0"); nsid == SameNamespace || a.ParentNSID != nsid || a.ParentIndex != moved.Index {
		t.Errorf("target is number %d; the end that stayed is %+v", nsid, a)
	}
}

func TestAddrsAndRoutes(t *testing.T) {
	t.Parallel()
	_, h := open(t)
	must(t, h.AddPair(Pair{Name: "a0", PeerName: "b0"}))
	a := mustName(t, h, "a0")
	must(t, h.Set(mustName(t, h, "b0"), Change{Up: new(true)}))
	must(t, h.Set(a, Change{Up: new(true)}))
	v4, v6 := netip.MustParsePrefix("10.9.0.2/24"), netip.MustParsePrefix("fd09::2/64")
	for range 2 {
		must(t, h.AddAddr(a, v4))
		must(t, h.AddAddr(a, v6))
	}
	if got := globals(t, h, a); len(got) != 2 || got[0] != v4 || got[1] != v6 {
		t.Errorf("addresses are %v", got)
	}
	routes := []Route{
		{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.9.0.1")},
		{To: netip.MustParsePrefix("10.8.0.1/32")},
		{To: netip.MustParsePrefix("10.7.0.0/16"), Via: netip.MustParseAddr("10.8.0.1")},
		{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fd09::1")},
		{To: netip.MustParsePrefix("fd08::1/128")},
	}
	for _, r := range routes {
		must(t, h.ReplaceRoute(a, r))
		must(t, h.ReplaceRoute(a, r))
	}
	got := ours(t, h, a)
	for _, want := range routes {
		n := 0
		for _, r := range got {
			if r.Same(want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("route %s is there %d times", want, n)
		}
	}
	for _, r := range got {
		must(t, h.DelRoute(a, r))
		must(t, h.DelRoute(a, r))
	}
	if got := ours(t, h, a); len(got) != 0 {
		t.Errorf("routes left: %v", got)
	}
	for range 2 {
		must(t, h.DelAddr(a, v4))
		must(t, h.DelAddr(a, v6))
	}
	if got := globals(t, h, a); len(got) != 0 {
		t.Errorf("addresses left: %v", got)
	}
}

func globals(t *testing.T, h *Handle, l Link) (out []netip.Prefix) {
	t.Helper()
	addrs, err := h.Addrs(l)
	must(t, err)
	for _, a := range addrs {
		if a.Global {
			out = append(out, a.Prefix)
		}
	}
	return out
}

func ours(t *testing.T, h *Handle, l Link) (out []Route) {
	t.Helper()
	routes, err := h.Routes(l)
	must(t, err)
	for _, r := range routes {
		if r.Ours {
			out = append(out, r)
		}
	}
	return out
}

func TestWatchWakesAndStops(t *testing.T) {
	t.Parallel()
	ns, h := open(t)
	w, err := Subscribe(ns)
	must(t, err)
	must(t, h.AddBridge("br0", macA))
	if _, ok := <-w.C; !ok {
		t.Error("the watch broke")
	}
	w.Close()
	for range w.C { // what was kept, then closed
	}
}

// A request on a closed handle must not go to our own namespace instead.
func TestClosedHandleRefuses(t *testing.T) {
	t.Parallel()
	_, h := open(t)
	h.Close()
	if links, err := h.Links(); err == nil {
		t.Errorf("got %d links through a closed handle", len(links))
	}
}

// F37: links come and go while we list.
func TestF37_ListingUnderChangeIsWhole(t *testing.T) {
	t.Parallel()
	ns, h := open(t)
	const pairs = 40 // more than one message holds
	for i := range pairs {
		must(t, h.AddPair(Pair{Name: fmt.Sprintf("keep%d", i), PeerName: fmt.Sprintf("keep%d", pairs+i)}))
	}
	other, err := Open(ns)
	must(t, err)
	defer other.Close()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := other.AddBridge("storm0", nic.MAC{}); err != nil {
				done <- err
				return
			}
			l, err := other.ByName("storm0")
			if err == nil {
				err = other.Delete(l)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 200 {
		links, err := h.Links()
		must(t, err)
		kept := 0
		for _, l := range links {
			if strings.HasPrefix(l.Name, "keep") {
				kept++
			}
		}
		if kept != 2*pairs {
			t.Errorf("a listing had %d of %d links", kept, 2*pairs)
		}
	}
	close(stop)
	must(t, <-done)
}
