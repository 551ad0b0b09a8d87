//go:build linux

package vf_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

// A PF that is set to be promiscuous is told beside what differs, each by its kind.
func TestAPromiscuousPFIsTold(t *testing.T) {
	t.Parallel()
	n, s, id, v := applied(t, 7, vftest.Driver{}, 5)
	n.Change(v.PF, func(l *link.Link) { l.Promisc = true })
	pf, err := n.PF(1)
	must(t, err)
	must(t, n.SetVF(pf.Link, 5, link.VFChange{SpoofCheck: new(false), Trust: new(true)}))
	err = s.Differs(t.Context(), id, v)
	loud, fields := vf.Told[*vf.PromiscuousError](err), vf.Told[*vf.FieldError](err)
	if len(loud) != 1 || loud[0].PF != "ens1" || loud[0].PCI != v.PF || len(fields) != 2 || fields[0].Field != "spoof check" || fields[1].Field != "trust" {
		t.Errorf("got %v: %v and %v", err, loud, fields)
	}
	must(t, s.Apply(t.Context(), id, v)) // is no reason not to set it
	if none := vf.Told[*vf.FieldError](errors.New("another")); none != nil || vf.Told[*vf.FieldError](nil) != nil {
		t.Errorf("of what is none: %v", none)
	}
}

// F39: whoever asks is told whether a VF is its own, also when the notes are gone.
func TestF39_OwnersAreKnown(t *testing.T) {
	t.Parallel()
	n := oneCard(7, vftest.Driver{})
	dir := t.TempDir()
	s := setter(t, n, dir)
	first, second := nic.NewID(), nic.NewID()
	v := wanted(n.VF("ens1", 5))
	owned := func(what string, owner nic.ID, want bool) {
		t.Helper()
		if got, err := s.Owned(owner, v); got != want || err != nil {
			t.Errorf("%s: got %t, %v; want %t", what, got, err, want)
		}
	}
	owned("nobody's", first, false)
	v = taken(t, s, first, v)
	owned("one's own", first, true)
	owned("another's", second, false)
	must(t, s.Apply(t.Context(), first, v))
	must(t, os.Remove(filepath.Join(dir, v.PCI)))
	owned("one's own without a note", first, true)
	v.Set.MAC = nic.NewMAC()
	owned("one that carries another's MAC", first, false)
	v = taken(t, s, first, v)
	must(t, s.Restore(t.Context(), first, v))
	owned("set back", first, false)
	n.Remove("ens1")
	owned("pulled out", first, false)
	if _, err := s.Owned(first, nic.VF{PCI: "../x"}); err == nil {
		t.Error("a path is a VF")
	}
}

func TestWhatAFunctionIs(t *testing.T) {
	t.Parallel()
	root := tree(t)
	bus := vf.Sysfs{Root: root}
	if name, err := bus.RDMADevice("0000:01:10.1"); bus.AnyRDMA() || name != "" || err != nil {
		t.Errorf("without: %t, %q, %v", bus.AnyRDMA(), name, err)
	}
	must(t, os.MkdirAll(filepath.Join(root, "class/infiniband"), 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "devices/pci0000:00/0000:01:10.1/infiniband/mlx5_3"), 0o755))
	if name, err := bus.RDMADevice("0000:01:10.1"); !bus.AnyRDMA() || name != "mlx5_3" || err != nil {
		t.Errorf("with: %t, %q, %v", bus.AnyRDMA(), name, err)
	}
	must(t, os.Symlink("../0000:01:00.0", filepath.Join(root, "devices/pci0000:00/0000:01:10.1/physfn")))
	if !bus.Virtual("0000:01:10.1") || bus.Virtual("0000:01:10.3") || bus.Virtual("../x") {
		t.Error("a function's kind is mistaken")
	}
	if _, err := bus.RDMADevice("../x"); err == nil {
		t.Error("a path is a function")
	}
}
