//go:build linux

package vfio_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
	"github.com/nicferry/nicferry/sriov/vfio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const card = sriov.Address("0000:01:00.0")

var igbvf = nic.VFDriver{Name: "igbvf"}

// A bench is a machine with one card and seven VFs, each in a group of its own, and
// 512 hugepages.
type bench struct {
	*sysfstest.Machine
	*vfio.Binder
	t   *testing.T
	vfs []string
}

func machine(t *testing.T, change ...func(*vfio.Options)) *bench {
	t.Helper()
	return machineOf(t, sysfstest.Card{Name: "eth1", Address: card, TotalVFs: 7, IOMMU: true}, change...)
}

func machineOf(t *testing.T, c sysfstest.Card, change ...func(*vfio.Options)) *bench {
	t.Helper()
	b := &bench{Machine: sysfstest.New(t, c), t: t}
	b.Others(card, 7)
	b.Load(vfio.Driver)
	b.pages(512, 512)
	opts := vfio.Options{Root: b.Root(), Write: b.Write}
	for _, do := range change {
		do(&opts)
	}
	b.Binder = vfio.New(opts)
	tree := sysfs.New(sysfs.Options{Root: b.Root(), State: t.TempDir(), Write: b.Write})
	pf, err := tree.PF("eth1")
	must(t, err)
	for _, v := range pf.VFs {
		b.vfs = append(b.vfs, string(v.Address))
	}
	return b
}

func (b *bench) pages(total, free int) {
	b.Set("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", fmt.Sprint(total))
	b.Set("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", fmt.Sprint(free))
	b.Set("kernel/mm/hugepages/hugepages-64kB/nr_hugepages", "9") // of no use to anybody here
	b.Set("kernel/mm/hugepages/hugepages-64kB/free_hugepages", "9")
}

// is wants a VF's driver and what the VF is kept for.
func (b *bench) is(pci string, want nic.VFDriver) {
	b.t.Helper()
	got, err := b.Binder.Driver(pci)
	if err != nil || got != want {
		b.t.Errorf("driver of %s: %+v, %v; want %+v", pci, got, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var bound = nic.VFDriver{Name: vfio.Driver, Override: vfio.Driver}

func TestAVFGoesToUserSpaceAndComesBack(t *testing.T) {
	t.Parallel()
	b := machine(t)
	vf := b.vfs[2]
	b.is(vf, igbvf)
	if _, err := b.Device(vf); !errors.Is(err, vfio.ErrNotBound) {
		t.Errorf("device of a VF that is not bound: %v; want %v", err, vfio.ErrNotBound)
	}
	for range 2 {
		must(t, b.Binder.Bind(t.Context(), vf))
		b.is(vf, bound)
	}
	device, err := b.Device(vf)
	if err != nil || device != "/dev/vfio/3" {
		t.Errorf("device %q, %v; want /dev/vfio/3", device, err)
	}
	if writes := b.Writes(); len(writes) != 3 { // kept for it, off the old one, on the new one
		t.Errorf("%d writes to bind twice; want 3: %q", len(writes), writes)
	}
	for range 2 {
		must(t, b.Unbind(t.Context(), vf, igbvf))
		b.is(vf, igbvf)
	}
	for i, other := range b.vfs {
		if i != 2 {
			b.is(other, igbvf)
		}
	}
}

var errDied = errors.New("the agent died")

// The agent dies before or after each write of its: the next one binds, or takes
// back, from wherever that was.
func TestF31_ADeathAtEachStepIsMended(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for step := 1; step <= 6; step++ {
			for _, goesOn := range []bool{true, false} {
				t.Run(fmt.Sprintf("step %d, done %t, goes on %t", step, after, goesOn), func(t *testing.T) {
					t.Parallel()
					n := 0
					b := machine(t)
					dies := vfio.New(vfio.Options{Root: b.Root(), Write: func(path, text string) error {
						n++
						switch {
						case n < step:
							return b.Write(path, text)
						case n == step && after:
							return errors.Join(b.Write(path, text), errDied)
						}
						return errDied
					}})
					vf := b.vfs[0]
					was, err := dies.Driver(vf)
					must(t, err)
					err = dies.Bind(t.Context(), vf)
					if err == nil {
						err = dies.Unbind(t.Context(), vf, was)
					}
					if !errors.Is(err, errDied) {
						t.Fatalf("it lives after %d writes: %v", n, err)
					}
					if goesOn {
						must(t, b.Binder.Bind(t.Context(), vf))
						b.is(vf, bound)
					}
					must(t, b.Unbind(t.Context(), vf, was))
					b.is(vf, igbvf)
				})
			}
		}
	}
}

// What keeps a VF from user space is told before anything is changed, and in words.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		card sysfstest.Card
		do   func(*bench)
		with func(*vfio.Options)
		want error
		says string
	}{
		{"no IOMMU", sysfstest.Card{}, nil, nil, vfio.ErrNoIOMMU, "switch VT-d or AMD-Vi on in the machine's firmware"},
		{"no IOMMU, and the kernel would", sysfstest.Card{}, unsafeMode, nil, vfio.ErrNoIOMMU, "a program could read and write all of the machine's memory"},
		{"no IOMMU, and it is asked for", sysfstest.Card{}, nil, withoutIOMMU, vfio.ErrNoIOMMU, "in no IOMMU group"},
		{"the PF is in the group", sysfstest.Card{IOMMU: true}, func(b *bench) { b.Share(sriov.Address(b.vfs[0]), card) }, nil, vfio.ErrShared, "0000:01:00.0, which the machine itself uses (driver igb)"},
		{"another program's is", sysfstest.Card{IOMMU: true}, func(b *bench) {
			b.Share(sriov.Address(b.vfs[0]), sriov.Address(b.vfs[1]))
			b.Machine.Bind(sriov.Address(b.vfs[1]), vfio.Driver)
		}, nil, vfio.ErrShared, "which another program may have"},
		{"no vfio-pci", sysfstest.Card{IOMMU: true, VFDriver: "igbvf"}, func(b *bench) { b.Forget(vfio.Driver) }, nil, vfio.ErrNoDriver, "modprobe vfio-pci"},
		{"it takes none", sysfstest.Card{IOMMU: true}, func(b *bench) { b.Reject(vfio.Driver) }, nil, vfio.ErrNoDriver, "dmesg"},
		{"no hugepages", sysfstest.Card{IOMMU: true}, func(b *bench) { b.pages(0, 0) }, nil, vfio.ErrNoPages, "sysctl -w vm.nr_hugepages=512"},
		{"none free", sysfstest.Card{IOMMU: true}, func(b *bench) { b.pages(8, 0) }, nil, vfio.ErrNoPages, "all 8 are in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.card.Name, c.card.Address, c.card.TotalVFs = "eth1", card, 7
			if c.with == nil {
				c.with = func(*vfio.Options) {}
			}
			b := machineOf(t, c.card, c.with)
			if c.do != nil {
				c.do(b)
			}
			err := b.Binder.Bind(t.Context(), b.vfs[0])
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want %v with %q", err, c.want, c.says)
			}
			if errors.Is(c.want, vfio.ErrNoDriver) && c.do != nil { // what was begun is taken back
				must(t, b.Unbind(t.Context(), b.vfs[0], igbvf))
			}
			b.is(b.vfs[0], igbvf)
		})
	}
}

func unsafeMode(b *bench)          { b.Set("module/vfio/parameters/enable_unsafe_noiommu_mode", "Y") }
func withoutIOMMU(o *vfio.Options) { o.WithoutIOMMU = true }

// Hugepages that the program itself has taken are no reason against it.
func TestABoundVFNeedsNoMorePages(t *testing.T) {
	t.Parallel()
	b := machine(t)
	must(t, b.Binder.Bind(t.Context(), b.vfs[0]))
	b.pages(512, 0)
	if err := b.CheckPages(); !errors.Is(err, vfio.ErrNoPages) {
		t.Errorf("with none free: %v; want %v", err, vfio.ErrNoPages)
	}
	must(t, b.Binder.Bind(t.Context(), b.vfs[0]))
	b.is(b.vfs[0], bound)
}

// The kernel would have us wait for a program that has the VF open.
func TestAVFThatIsOpenIsNotTakenBack(t *testing.T) {
	t.Parallel()
	b := machine(t)
	must(t, b.Binder.Bind(t.Context(), b.vfs[3]))
	b.Open(4711, "dpdk-testpmd", "/vfio/4") // as a container's /dev is seen from outside
	before := len(b.Writes())
	err := b.Unbind(t.Context(), b.vfs[3], igbvf)
	if !errors.Is(err, vfio.ErrBusy) || !strings.Contains(err.Error(), "process 4711 (dpdk-testpmd)") {
		t.Errorf("got %v; want %v with the process", err, vfio.ErrBusy)
	}
	if after := b.Writes(); len(after) != before {
		t.Errorf("it has written %q", after[before:])
	}
	b.is(b.vfs[3], bound)
}

// A driver that somebody has bound by hand meanwhile stays.
func TestAThirdDriverIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := machine(t)
	must(t, b.Binder.Bind(t.Context(), b.vfs[0]))
	b.Machine.Bind(sriov.Address(b.vfs[0]), "uio_pci_generic")
	must(t, b.Unbind(t.Context(), b.vfs[0], igbvf))
	if now := b.Machine.Driver(sriov.Address(b.vfs[0])); now != "uio_pci_generic" {
		t.Errorf("driver %s; want the one that somebody has bound", now)
	}
}

// One that had no driver, or was kept for vfio-pci by its owner, is so again.
func TestWhatWasComesBack(t *testing.T) {
	t.Parallel()
	for _, was := range []nic.VFDriver{{}, bound, {Name: vfio.Driver}} {
		b := machine(t)
		vf := sriov.Address(b.vfs[0])
		b.Machine.Bind(vf, was.Name)
		if was.Name == vfio.Driver {
			b.Set("class/vfio/1/dev", "")
		}
		if was.Override != "" {
			must(t, b.Write(b.Root()+"/sys/bus/pci/devices/"+string(vf)+"/driver_override", was.Override))
		}
		now, err := b.Binder.Driver(string(vf))
		if err != nil || now != was {
			t.Fatalf("before: %+v, %v; want %+v", now, err, was)
		}
		must(t, b.Binder.Bind(t.Context(), string(vf)))
		must(t, b.Unbind(t.Context(), string(vf), was))
		b.is(string(vf), was)
	}
}

// What the controller sends is part of no path unless it can be a name.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	b := machine(t)
	for _, pci := range []string{"", "../../../etc", "0000:01:10.0/../..", "0000:99:00.0"} {
		if err := b.Binder.Bind(t.Context(), pci); err == nil {
			t.Errorf("bind %q: no error", pci)
		}
	}
	must(t, b.Binder.Bind(t.Context(), b.vfs[0]))
	before := len(b.Writes())
	for _, was := range []nic.VFDriver{{Name: "../../igbvf"}, {Name: "igbvf", Override: "a b\n"}} {
		if err := b.Unbind(t.Context(), b.vfs[0], was); err == nil || len(b.Writes()) != before {
			t.Errorf("unbind to %+v: %v", was, err)
		}
	}
	must(t, b.Unbind(t.Context(), b.vfs[0], igbvf))
}
