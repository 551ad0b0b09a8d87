//go:build linux

package device

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// Two containers share a plugged NIC. A kernel without ipvlan refuses in words and
// is left as it was; suite vm has a kernel with it.
func TestSeatsComeAndGo(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	first, d := seat(nic.NewMAC())
	second, _ := seat(d.MAC)
	d.MTU = 1500
	plug(t, host, d.MAC)
	before := hostState(t, host)
	if err := m.Ensure(t.Context(), first, d); errors.Is(err, link.ErrUnsupported) {
		if !strings.Contains(err.Error(), "need ipvlan: install the node's kernel modules") {
			t.Errorf("refused with: %v", err)
		}
		if after := hostState(t, host); after != before {
			t.Errorf("refused, and the host went from:\n%s\nto:\n%s", before, after)
		}
		t.Log("this kernel has no ipvlan")
		return
	}
	for range 2 {
		must(t, m.Ensure(t.Context(), first, d))
		must(t, m.Ensure(t.Context(), second, d))
	}
	for _, id := range []nic.ID{first, second} {
		l := byName(t, m, id.LinkName("nt"))
		if l.Kind != link.KindIpvlan || l.MAC != d.MAC || l.MTU != 1500 || l.Alias != string(id) || l.Up {
			t.Errorf("seat is %+v", l)
		}
		clean, err := m.Clean(id, d)
		if err != nil || clean.MAC != l.MAC || clean.MTU != l.MTU || *clean.Alias != l.Alias || clean.Name != l.Name {
			t.Errorf("a clean seat is %+v, %v; made was %+v", clean, err, l)
		}
	}
	h, err := link.Open(container(t))
	must(t, err)
	defer h.Close()
	l := byName(t, m, first.LinkName("nt"))
	moved, err := m.host.Move(l, h, link.Change{Name: "eth0", Up: new(true)})
	must(t, err)
	// A container renames it, takes the mark off, and makes another one beside it.
	must(t, h.Set(moved, link.Change{Name: "mine", Alias: new("nothing")}))
	netnstest.Run(t, h.Namespace(), "ip", "link", "add", "link", "mine", "name", "eth0", "type", "ipvlan", "mode", "l2")
	must(t, m.Ensure(t.Context(), first, d, h.Namespace()))
	absent(t, m, first.LinkName("nt"))
	at, found, err := m.Locate(t.Context(), first, d, h.Namespace())
	if err != nil || !found || at.Home || at.Link.Name != "mine" {
		t.Errorf("locate: got %+v, %t, %v; want mine", at, found, err)
	}
	must(t, h.Set(at.Link, link.Change{Alias: new(string(first))}))
	must(t, m.DropSiblings(t.Context(), d, h.Namespace()))
	if links, err := h.Links(); err != nil || len(links) != 2 {
		t.Errorf("in the container: %+v, %v; want lo and the seat", links, err)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), second, d))
	}
	if l := byName(t, m, "ens7"); !l.Up {
		t.Errorf("with a seat left its NIC is %+v", l)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), first, d, h.Namespace()))
	}
	if after := hostState(t, host); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
}
