//go:build linux

package devicetest

import (
	"slices"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// An agent looks for a lost VF in all namespaces, those of other tests and of labs too.
func TestAnothersCablesAreNoVFs(t *testing.T) {
	ours, others := netnstest.New(t), netnstest.New(t)
	cards := New(t, ours, 2)
	New(t, others, 2)
	// As labs lay theirs: a bridge, then the cable.
	lab := netnstest.New(t)
	netnstest.Run(t, lab, "ip", "link", "add", "mgmt0", "type", "bridge")
	netnstest.Run(t, lab, "ip", "link", "add", "port1", "type", "veth", "peer", "name", "port2")

	for ns, want := range map[*link.Handle][]string{
		open(t, ours): {PCI(0), PCI(1)}, open(t, others): nil, open(t, lab): nil,
	} {
		links, err := ns.Links()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range links {
			if pci := cards.At(l); pci != "" {
				got = append(got, pci)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("VFs in %s: %q, want %q; links %+v", ns.Namespace().ID(), got, want, links)
		}
	}
}

func open(t *testing.T, ns *netns.Namespace) *link.Handle {
	h, err := link.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}
