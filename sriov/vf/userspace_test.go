//go:build linux

package vf_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
	"github.com/nicferry/nicferry/sriov/vfio"
)

// A handing is a node whose VF 0 may go to a program. The card's settings are in one
// fake and its drivers in another.
type handing struct {
	*vftest.Node
	machine *sysfstest.Machine
	dir     string
	// diesAt is the write to a driver's file at which the agent dies; 0 is never.
	diesAt, writes int
	// onWrite is called before each.
	onWrite func()
}

var errDied = errors.New("the agent died")

func hand(t *testing.T) *handing {
	t.Helper()
	card := sriov.Address("0000:01:00.0")
	h := &handing{Node: &vftest.Node{}, machine: sysfstest.New(t, sysfstest.Card{Name: "ens1", Address: card, TotalVFs: 7, IOMMU: true}), dir: t.TempDir()}
	h.Add("ens1", 1, 7, vftest.Driver{})
	h.machine.Others(card, 7)
	h.machine.Load(vfio.Driver)
	h.machine.Set("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8")
	h.machine.Set("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "8")
	return h
}

// setter is an agent's, which may die.
func (h *handing) setter(t *testing.T, more ...func(*vf.Options)) *vf.Setter {
	t.Helper()
	b := vfio.New(vfio.Options{Root: h.machine.Root(), Write: func(path, text string) error {
		h.writes++
		if h.onWrite != nil {
			h.onWrite()
		}
		if h.writes == h.diesAt {
			return errDied
		}
		return h.machine.Write(path, text)
	}})
	return setter(t, h.Node, h.dir, append(more, func(o *vf.Options) { o.UserSpace = b })...)
}

func (h *handing) vf() nic.VF {
	v := wanted(h.VF("ens1", 0))
	v.UserSpace = true
	return v
}

func (h *handing) driver(t *testing.T, want string) {
	t.Helper()
	if now := h.machine.Driver(sriov.Address(h.VF("ens1", 0).PCI)); now != want {
		t.Errorf("driver %q; want %q", now, want)
	}
}

func TestF31_AVFGoesToUserSpaceWhenItIsSet(t *testing.T) {
	t.Parallel()
	h := hand(t)
	s, id, v, before := h.setter(t), nic.NewID(), h.vf(), h.Settings()
	h.onWrite = func() {
		if now := h.Settings()[v.PCI]; now.MAC != v.Set.MAC || now.VLAN.ID != 100 {
			t.Errorf("its driver is taken off while it is set to %+v", now)
		}
	}
	if err := s.Apply(t.Context(), id, v); !errors.Is(err, vf.ErrUntold) {
		t.Errorf("before anybody knows what was: %v; want %v", err, vf.ErrUntold)
	}
	untold := v
	untold.Was.Boot = boot // as if it were not to go to user space
	if err := s.Apply(t.Context(), id, untold); !errors.Is(err, vf.ErrUntold) {
		t.Errorf("before anybody knows which driver was: %v; want %v", err, vf.ErrUntold)
	}
	h.driver(t, "igbvf")
	same(t, "untold", before, h.Settings())

	v = taken(t, s, id, v)
	if d := v.Was.Driver; d == nil || *d != (nic.VFDriver{Name: "igbvf"}) {
		t.Fatalf("former driver %+v; want igbvf", d)
	}
	for range 2 {
		must(t, s.Apply(t.Context(), id, v))
		h.driver(t, vfio.Driver)
	}
	if again := taken(t, s, id, v); again.Was.Driver.Name != "igbvf" {
		t.Errorf("asked again, the former driver is %+v", again.Was.Driver)
	}
	device, err := s.Device(v.PCI)
	if err != nil || !strings.HasPrefix(device, "/dev/vfio/") {
		t.Errorf("device %q, %v", device, err)
	}
	h.onWrite = nil
	for range 2 {
		must(t, s.Restore(t.Context(), id, v))
		h.driver(t, "igbvf")
	}
	same(t, "set back", before, h.Settings())
}

// The agent dies at each write to a driver's file, and the next one has only the note:
// whoever ends the NIC gets the VF back as it was.
func TestF31_AnAgentDiesWhileItHandsOver(t *testing.T) {
	t.Parallel()
	for step := 1; step <= 6; step++ {
		h := hand(t)
		h.diesAt = step
		s, id, before := h.setter(t), nic.NewID(), h.Settings()
		v := taken(t, s, id, h.vf())
		err := s.Apply(t.Context(), id, v)
		if err == nil {
			err = s.Restore(t.Context(), id, v)
		}
		if !errors.Is(err, errDied) {
			t.Fatalf("step %d: it lives: %v", step, err)
		}
		h.diesAt = 0
		v.Was = nic.VFWas{} // the recipe is lost too
		must(t, h.setter(t).Restore(t.Context(), id, v))
		h.driver(t, "igbvf")
		same(t, "set back", before, h.Settings())
		taken(t, h.setter(t), nic.NewID(), h.vf()) // anybody may have it
	}
}

// The next owner wants an interface, and the last one is gone without a word.
func TestF31_TheNextOwnerGetsTheFormerDriver(t *testing.T) {
	t.Parallel()
	h := hand(t)
	last, next := nic.NewID(), nic.NewID()
	v := taken(t, h.setter(t), last, h.vf())
	must(t, h.setter(t).Apply(t.Context(), last, v))
	h.driver(t, vfio.Driver)
	s := h.setter(t, func(o *vf.Options) { o.Gone = func(id nic.ID) bool { return id == last } })
	w := h.vf()
	w.UserSpace = false
	w = taken(t, s, next, w)
	must(t, s.Apply(t.Context(), next, w))
	h.driver(t, "igbvf")
	must(t, s.Restore(t.Context(), last, v)) // late, and nothing of its
	h.driver(t, "igbvf")
	must(t, s.Restore(t.Context(), next, w))
	h.driver(t, "igbvf")
}

// A program that does not end keeps its VF, which is nobody else's meanwhile.
func TestF39_AnOpenVFStaysItsOwners(t *testing.T) {
	t.Parallel()
	h := hand(t)
	s, id := h.setter(t), nic.NewID()
	v := taken(t, s, id, h.vf())
	must(t, s.Apply(t.Context(), id, v))
	device, err := s.Device(v.PCI)
	must(t, err)
	h.machine.Open(815, "dpdk-testpmd", strings.TrimPrefix(device, "/dev"))
	set := h.Settings()
	if err := s.Restore(t.Context(), id, v); !errors.Is(err, vfio.ErrBusy) {
		t.Errorf("set back: %v; want %v", err, vfio.ErrBusy)
	}
	same(t, "while the program runs", set, h.Settings())
	h.driver(t, vfio.Driver)
	if _, err := s.Take(t.Context(), nic.NewID(), h.vf()); !errors.Is(err, vf.ErrTaken) {
		t.Errorf("the next one: %v; want %v", err, vf.ErrTaken)
	}
}

func TestAnAgentWithoutUserSpaceSaysSo(t *testing.T) {
	t.Parallel()
	h := hand(t)
	_, err := setter(t, h.Node, h.dir).Take(t.Context(), nic.NewID(), h.vf())
	if err == nil || !strings.Contains(err.Error(), "hands no VFs to programs in user space") {
		t.Errorf("got %v", err)
	}
}
