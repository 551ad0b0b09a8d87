//go:build linux

package device

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
	"github.com/nicferry/nicferry/sriov/vfio"
)

// A VF in user space has no interface to make, find or bring home: its recipe's work is
// its PF's settings and its driver.
func TestF31_AVFInUserSpaceComesAndGoes(t *testing.T) {
	t.Parallel()
	_, m := newMaker(t)
	pf := sriov.Address("0000:01:00.0")
	machine := sysfstest.New(t, sysfstest.Card{Name: "ens1", Address: pf, TotalVFs: 7, IOMMU: true})
	machine.Others(pf, 7)
	machine.Load(vfio.Driver)
	machine.Set("kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "2")
	machine.Set("kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1")
	cards := &vftest.Node{}
	cards.Add("ens1", 1, 7, vftest.IGB())
	setter, err := vf.New(vf.Options{
		Kernel: cards, Bus: cards, Dir: t.TempDir(), Boot: "b",
		UserSpace: vfio.New(vfio.Options{Root: machine.Root(), Write: machine.Write}),
	})
	must(t, err)
	m.UseFunctions(setter)

	mac, before := nic.NewMAC(), cards.Settings()
	id, d := nic.NewID(), nic.Device{Kind: nic.SRIOV, MAC: mac, VF: cards.VF("ens1", 0)}
	d.VF.Set, d.VF.UserSpace = nic.VFSettings{MAC: mac, VLAN: &nic.VFVLAN{ID: 7}}, true
	was, err := m.Former(t.Context(), id, d)
	must(t, err)
	d.VF.Was = was[0]
	for range 2 {
		must(t, m.Ensure(t.Context(), id, d))
	}
	opens, err := m.Opens(d)
	if err != nil || opens != "/dev/vfio/1" || cards.Settings()[d.VF.PCI].MAC != mac {
		t.Errorf("opens %q, %v, set to %+v", opens, err, cards.Settings()[d.VF.PCI])
	}
	if at, found, err := m.Locate(t.Context(), id, d); found || err != nil {
		t.Errorf("located: %+v, %t, %v; want no interface", at, found, err)
	}
	for range 2 {
		must(t, m.Remove(t.Context(), id, d))
	}
	if driver := machine.Driver(sriov.Address(d.VF.PCI)); driver != "igbvf" || cards.Settings()[d.VF.PCI].MAC != before[d.VF.PCI].MAC {
		t.Errorf("taken back: driver %s, set to %+v", driver, cards.Settings()[d.VF.PCI])
	}
	if _, err := m.Opens(d); err == nil {
		t.Error("it is open to programs still")
	}
	d.VF.UserSpace = false
	if opens, err := m.Opens(d); opens != "" || err != nil {
		t.Errorf("one with an interface opens %q, %v", opens, err)
	}
}

func TestNoBondInUserSpace(t *testing.T) {
	t.Parallel()
	_, m, _ := newCards(t, 2)
	id, d := twoVFs(nic.BondActiveBackup)
	d.Bond.Members[1].UserSpace = true
	err := m.Ensure(t.Context(), id, d)
	if err == nil || !strings.Contains(err.Error(), "no bond of VFs in user space") {
		t.Errorf("got %v", err)
	}
}
