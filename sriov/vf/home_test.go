//go:build linux

package vf_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

// F39: a VF that a virtual machine, a program or another namespace has is set by nobody,
// whether the controller's picture of the card is old or somebody emptied the folder.
func TestF39_AVFThatIsNotAtHomeIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, lend := range map[string]func(n *vftest.Node, pci string){
		"a virtual machine": func(n *vftest.Node, pci string) { n.Serve(pci, "vfio-pci") },
		"another namespace": func(n *vftest.Node, pci string) { n.Change(pci, func(l *link.Link) { l.Index = 0 }) },
	} {
		for _, user := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				n := oneCard(7, vftest.Driver{})
				dir, id, before := t.TempDir(), nic.NewID(), n.Settings()
				s := setter(t, n, dir)
				v := wanted(n.VF("ens1", 2))
				v.UserSpace = user
				lend(n, v.PCI)
				if _, err := s.Take(t.Context(), id, v); !errors.Is(err, vf.ErrTaken) || !strings.Contains(err.Error(), "a virtual machine, a program or another namespace has it") {
					t.Errorf("%s has it: take: got %v; want %v", name, err, vf.ErrTaken)
				}
				v.Was = nic.VFWas{Boot: boot, Settings: before[v.PCI], Driver: &nic.VFDriver{Name: "igbvf"}}
				if err := s.Apply(t.Context(), id, v); !errors.Is(err, vf.ErrTaken) {
					t.Errorf("%s has it: set: got %v; want %v", name, err, vf.ErrTaken)
				}
				must(t, s.Restore(t.Context(), id, v))
				same(t, name+" has it", before, n.Settings())
			})
		}
	}
}

// While a driver is bound anew there is no interface for a moment. One's own VF is in its
// container, and is set there.
func TestAVFThatComesHomeInAMomentIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := oneCard(7, vftest.Driver{})
		dir, id := t.TempDir(), nic.NewID()
		s := setter(t, n, dir)
		v := wanted(n.VF("ens1", 2))
		index := 0
		n.Change(v.PCI, func(l *link.Link) { index, l.Index = l.Index, 0 })
		time.AfterFunc(300*time.Millisecond, func() { n.Change(v.PCI, func(l *link.Link) { l.Index = index }) })
		v = taken(t, s, id, v)
		must(t, s.Apply(t.Context(), id, v))
		n.Change(v.PCI, func(l *link.Link) { l.Index = 0 })
		must(t, os.Remove(filepath.Join(dir, v.PCI)))
		must(t, s.Apply(t.Context(), id, v))
		bare := wanted(n.VF("ens1", 3))
		n.Unbind(bare.PCI) // nobody has it
		taken(t, s, id, bare)
	})
}

// F39: a VF that its container has hidden keeps its VLAN and its spoof check until it is
// home, or nobody serves it. One that was never set may be anywhere.
func TestF39_AHiddenVFIsNotSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := oneCard(7, vftest.Driver{})
		s, id, before := setter(t, n, t.TempDir()), nic.NewID(), n.Settings()
		v := taken(t, s, id, wanted(n.VF("ens1", 2)))
		hide := func(l *link.Link) { l.Index = 0 }
		n.Change(v.PCI, hide)
		must(t, s.Restore(t.Context(), id, v)) // it goes from Take to Restore
		must(t, n.Rebind(v.PCI))
		v = taken(t, s, id, v)
		must(t, s.Apply(t.Context(), id, v))
		set := n.Settings()
		n.Change(v.PCI, hide)
		if err := s.Restore(t.Context(), id, v); !errors.Is(err, vf.ErrAway) {
			t.Errorf("hidden: got %v; want %v", err, vf.ErrAway)
		}
		same(t, "hidden", set, n.Settings())
		if _, err := s.Take(t.Context(), nic.NewID(), v); !errors.Is(err, vf.ErrTaken) {
			t.Errorf("the next one: got %v; want %v", err, vf.ErrTaken)
		}
		must(t, n.Rebind(v.PCI)) // it is home
		must(t, s.Restore(t.Context(), id, v))
		same(t, "home", before, n.Settings())
	})
}
