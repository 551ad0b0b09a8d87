//go:build linux

package sysfs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
)

// S0-3: for each PF so many VFs, and at most what it can have. Asked again nothing
// is done.
func TestEnable(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	pf, notes, err := b.Enable(t.Context(), "eth1", 64)
	if err != nil || pf.NumVFs != 7 || len(pf.VFs) != 7 || !pf.Ours {
		t.Fatalf("%+v, %v", pf, err)
	}
	if all := strings.Join(notes, "\n"); !strings.Contains(all, "64 VFs were asked for, and 7 is the most that eth1 (0000:01:00.0) can have") ||
		!strings.Contains(all, "the link of eth1 (0000:01:00.0) is down for some seconds") || strings.Contains(all, "IOMMU") {
		t.Errorf("notes:\n%s", all)
	}
	if got := strings.Join(b.told, "; "); got != "make 7 VFs of eth1 (0000:01:00.0)" {
		t.Errorf("told: %s", got)
	}
	if b.enable("0000:01:00.0", 7); b.numvfs(first) != "7" || b.numvfs(second) != "" {
		t.Errorf("written: %s and %s", b.numvfs(first), b.numvfs(second))
	}
	// Another number: all go first, since the kernel knows no other way.
	if pf := b.enable("eth1", 3); pf.NumVFs != 3 || !pf.Ours || b.numvfs(first) != "7 0 3" {
		t.Errorf("written: %s; %+v", b.numvfs(first), pf)
	}
	if pf := b.enable("eth1", 0); pf.NumVFs != 0 || pf.Ours || b.numvfs(first) != "7 0 3 0" {
		t.Errorf("written: %s; %+v", b.numvfs(first), pf)
	}
}

// A card that is off is switched on first, and off again if nothing comes of it.
func TestTheCardIsUpFirst(t *testing.T) {
	t.Parallel()
	b := machine(t, sysfstest.Card{Name: "eth1", Address: first, TotalVFs: 7, Down: true, NeedsUp: true})
	if pf := b.enable("eth1", 2); !pf.Link.Up || pf.NumVFs != 2 {
		t.Errorf("%+v", pf)
	}
	if got := strings.Join(b.Writes(), "; "); got != "class/net/eth1/flags 0x1003; bus/pci/devices/0000:01:00.0/sriov_numvfs 2" {
		t.Errorf("written: %s", got)
	}
	refused := machine(t, sysfstest.Card{Name: "eth1", Address: first, TotalVFs: 7, Down: true, Refuse: unix.ENOSPC})
	if _, _, err := refused.Enable(t.Context(), "eth1", 2); !errors.Is(err, sysfs.ErrNoRoom) {
		t.Error(err)
	}
	if refused.pf("eth1").Link.Up {
		t.Error("the card is left switched on")
	}
}

// F41: nothing is changed under those who use VFs, and they are named.
func TestF41_NeverUnderItsUsers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		use  func(b *bench, vf sriov.VF)
		says string
	}{
		"a container": {func(b *bench, vf sriov.VF) { b.Take(vf.Address) }, "VF 2, 0000:01:10.4, is in use by container 0123456789ab"},
		"a machine": {func(b *bench, vf sriov.VF) {
			b.Bind(vf.Address, "vfio-pci")
			b.Open(99, "qemu", "/dev/vfio/devices/vfio0")
		}, "VF 2, 0000:01:10.4, is in use by process 99 (qemu)"},
		"a bond":   {func(b *bench, vf sriov.VF) { b.Join(vf.Name, "bond7") }, "VF 2, eth1v2 (0000:01:10.4), is in use by bond7"},
		"somebody": {func(b *bench, vf sriov.VF) { b.Set("class/net/"+vf.Name+"/flags", "0x1003") }, "VF 2, eth1v2 (0000:01:10.4), is switched on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := machine(t, pair()...)
			vf := b.enable("eth1", 4).VFs[2]
			c.use(b, vf)
			tree := b.again(map[sriov.Address]string{vf.Address: "container 0123456789ab"})
			for _, n := range []int{7, 3, 0} {
				_, _, err := tree.Enable(t.Context(), "eth1", n)
				if !errors.Is(err, sysfs.ErrBusy) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "eth1 (0000:01:00.0) has 4") {
					t.Errorf("%d VFs: %v", n, err)
				}
			}
			if pf, _, err := tree.Enable(t.Context(), "eth1", 4); err != nil || pf.NumVFs != 4 || b.numvfs(first) != "4" {
				t.Errorf("as it is: %+v, %v; written: %s", pf, err, b.numvfs(first))
			}
		})
	}
}

// F41: VFs that show up late are waited for, the longer the more there are.
func TestF41_LateVFsAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := machine(t, sysfstest.Card{Name: "eth1", Address: first, TotalVFs: 7, Late: 13 * time.Second})
		start := time.Now()
		pf := b.enable("eth1", 7)
		if took := time.Since(start); took < 13*time.Second || took > 14*time.Second {
			t.Errorf("it took %s", took)
		}
		for _, vf := range pf.VFs {
			if vf.Name == "" {
				t.Errorf("VF %d has no interface", vf.Index)
			}
		}
		if got := strings.Join(b.told, "; "); got != "make 7 VFs of eth1 (0000:01:00.0); 0 of 7 VFs have their interface" {
			t.Errorf("told: %s", got)
		}
	})
}

// F41: what never comes is named, and what was made stays.
func TestF41_VFsThatNeverShow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		card sysfstest.Card
		says string
	}{
		"no driver":    {sysfstest.Card{VFDriver: "-"}, "VF 0, 0000:01:10.0, has no driver; load it: modprobe igbvf"},
		"no interface": {sysfstest.Card{Late: time.Hour}, "driver igbvf has made no interface of VF 0, 0000:01:10.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c.card.Name, c.card.Address, c.card.TotalVFs = "eth1", first, 7
				b := machine(t, c.card)
				start := time.Now()
				pf, _, err := b.Enable(t.Context(), "eth1", 4)
				if took := time.Since(start); !errors.Is(err, sysfs.ErrLate) || !strings.Contains(err.Error(), c.says) || took != 12*time.Second {
					t.Errorf("after %s: %v", took, err)
				}
				if pf.NumVFs != 4 || !b.pf("eth1").Ours {
					t.Errorf("what is left: %+v", b.pf("eth1"))
				}
				time.Sleep(time.Hour) // for what comes late after all
			})
		})
	}
}

// Where VFs get no driver by themselves, as those for virtual machines, none is
// waited for.
func TestWithoutAutoprobe(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	b.Set("bus/pci/devices/0000:01:00.0/sriov_drivers_autoprobe", "0")
	pf, notes, err := b.Enable(t.Context(), "eth1", 2)
	if err != nil || pf.VFs[1].Use.How != sriov.Bare || !strings.Contains(strings.Join(notes, "\n"), "echo 1 > /sys/bus/pci/devices/0000:01:00.0/sriov_drivers_autoprobe") {
		t.Errorf("%+v, %q, %v", pf, notes, err)
	}
}

// VFs of others are used as they are, and never removed.
func TestOthersVFsAreAdopted(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	b.Others(first, 4)
	for _, n := range []int{4, 2} {
		pf, notes, err := b.Enable(t.Context(), "eth1", n)
		if err != nil || pf.NumVFs != 4 || pf.Ours {
			t.Errorf("%d VFs: %+v, %v", n, pf, err)
		}
		if told := strings.Contains(strings.Join(notes, "\n"), "others made 4 VFs of eth1 (0000:01:00.0), which stay"); told != (n == 2) {
			t.Errorf("%d VFs: %q", n, notes)
		}
	}
	for _, n := range []int{7, 0} {
		if _, _, err := b.Enable(t.Context(), "eth1", n); !errors.Is(err, sysfs.ErrForeign) || !strings.Contains(err.Error(), "never removes") {
			t.Errorf("%d VFs: %v", n, err)
		}
	}
	if b.numvfs(first) != "" {
		t.Errorf("written: %s", b.numvfs(first))
	}
}

// VFs that others made in the place of ours are not ours, though they are as many.
func TestMadeAnewByOthers(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	if !b.enable("eth1", 4).Ours || !b.pf("eth1").Ours {
		t.Fatal("ours are not known")
	}
	b.Others(first, 0)
	b.Others(first, 4)
	if b.pf("eth1").Ours {
		t.Error("those of others are taken for ours")
	}
	if _, _, err := b.Enable(t.Context(), "eth1", 7); !errors.Is(err, sysfs.ErrForeign) {
		t.Error(err)
	}
	// A damaged record is no proof either.
	b.enable("eth2", 2)
	if err := os.WriteFile(filepath.Join(b.Root(), "run", "0000:02:00.0.json"), []byte(`{"vfs":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if b.pf("eth2").Ours {
		t.Error("a damaged record is taken for a proof")
	}
}

// Whatever the kernel says is told in words, with a kind, and nothing is left over.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		card sysfstest.Card
		n    int
		kind error
		says string
	}{
		"interrupts":       {sysfstest.Card{Refuse: unix.ENOSPC}, 7, sysfs.ErrNoRoom, "not enough interrupts or queues for 7 VFs; ask for fewer, or leave the card itself fewer by ethtool -L eth1"},
		"address space":    {sysfstest.Card{Refuse: unix.ENOMEM}, 7, sysfs.ErrNoRoom, `switch SR-IOV and "above 4G decoding" on in the machine's firmware, or boot with pci=realloc`},
		"fewer":            {sysfstest.Card{Fewer: 2}, 7, sysfs.ErrNoRoom, "made 5 VFs of eth1 (0000:01:00.0) instead of 7"},
		"none, silently":   {sysfstest.Card{NeedsUp: true, Fewer: 7}, 7, sysfs.ErrUnsupported, "took the number and made no VF"},
		"machines":         {sysfstest.Card{Refuse: unix.EPERM}, 7, sysfs.ErrBusy, "virtual machines"},
		"raced":            {sysfstest.Card{Refuse: unix.EBUSY}, 7, sysfs.ErrBusy, "somebody else has just made"},
		"driver":           {sysfstest.Card{Refuse: unix.ENOENT}, 7, sysfs.ErrUnsupported, "driver igb of eth1 (0000:01:00.0) cannot make VFs by sysfs"},
		"built without":    {sysfstest.Card{Refuse: unix.EOPNOTSUPP}, 7, sysfs.ErrUnsupported, "cannot make VFs by sysfs"},
		"set up":           {sysfstest.Card{Refuse: unix.EINVAL}, 7, sysfs.ErrUnsupported, "takes no 7 VFs"},
		"read-only":        {sysfstest.Card{Refuse: unix.EROFS}, 7, sysfs.ErrDenied, "/sys is mounted read-only"},
		"not root":         {sysfstest.Card{Refuse: unix.EACCES}, 7, sysfs.ErrDenied, "needs root"},
		"gone":             {sysfstest.Card{Refuse: unix.ENODEV}, 7, sysfs.ErrGone, "was removed from the machine"},
		"anything":         {sysfstest.Card{Refuse: unix.EIO}, 7, unix.EIO, "set the number of VFs of eth1 (0000:01:00.0) to 7"},
		"firmware":         {sysfstest.Card{TotalVFs: 0}, 1, sysfs.ErrUnsupported, "may have no VF; switch SR-IOV on in the machine's firmware"},
		"no driver":        {sysfstest.Card{Driver: "-"}, 1, sysfs.ErrUnsupported, "0000:01:00.0 has no driver, which is what makes VFs"},
		"less than none":   {sysfstest.Card{}, -1, nil, "want 0 or more"},
		"no SR-IOV at all": {sysfstest.Card{TotalVFs: -1}, 1, sysfs.ErrUnsupported, "shows none to the kernel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.card.Name, c.card.Address = "eth1", first
			if c.card.TotalVFs == 0 && name != "firmware" {
				c.card.TotalVFs = 7
			}
			b := machine(t, c.card)
			_, _, err := b.Enable(t.Context(), string(first), c.n)
			if err == nil || !strings.Contains(err.Error(), c.says) || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("%v; want %q", err, c.says)
			}
			if c.card.TotalVFs >= 0 && (b.pf(string(first)).NumVFs != 0 || len(b.pf(string(first)).VFs) != 0) {
				t.Errorf("%+v is left", b.pf(string(first)))
			}
			if left, err := filepath.Glob(filepath.Join(b.Root(), "run", "*.json*")); err != nil || len(left) > 0 {
				t.Errorf("%q are left, %v", left, err)
			}
		})
	}
}

// A number that cannot be had gives the former one back.
func TestTheFormerVFsComeBack(t *testing.T) {
	t.Parallel()
	b := machine(t, sysfstest.Card{Name: "eth1", Address: first, TotalVFs: 7})
	b.enable("eth1", 3)
	b.Refuse(first, 5, unix.ENOSPC)
	if _, _, err := b.Enable(t.Context(), "eth1", 5); !errors.Is(err, sysfs.ErrNoRoom) || strings.Contains(err.Error(), "undo") {
		t.Error(err)
	}
	if pf := b.pf("eth1"); pf.NumVFs != 3 || !pf.Ours || b.numvfs(first) != "3 0 5 3" {
		t.Errorf("written: %s; %+v", b.numvfs(first), pf)
	}
}

// A card may be pulled at any time.
func TestPulled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := machine(t, sysfstest.Card{Name: "eth1", Address: first, TotalVFs: 7, Late: time.Hour})
		time.AfterFunc(3*time.Second, func() { b.Pull(first) })
		if _, _, err := b.Enable(t.Context(), "eth1", 4); !errors.Is(err, sysfs.ErrGone) {
			t.Errorf("while VFs are awaited: %v", err)
		}
		if all, err := b.List(); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		if _, _, err := b.Enable(t.Context(), "0000:01:00.0", 4); !errors.Is(err, sysfs.ErrNotFound) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// The kernel may take longer than anybody wants to wait. What it does then is ours
// all the same, and whoever asks meanwhile is told.
func TestAKernelThatTakesItsTime(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	release := b.Hang()
	ctx, cancel := context.WithCancel(t.Context())
	stop := make(chan struct{})
	tree := sysfs.New(sysfs.Options{Root: b.Root(), State: filepath.Join(b.Root(), "run"), Write: func(path, text string) error {
		cancel()
		defer close(stop)
		return b.Write(path, text)
	}})
	_, _, err := tree.Enable(ctx, "eth1", 4)
	release()
	if !errors.Is(err, sysfs.ErrLate) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the kernel is still setting the number of VFs of eth1") {
		t.Fatal(err)
	}
	<-stop
	if pf := b.pf("eth1"); pf.NumVFs != 4 || !pf.Ours {
		t.Errorf("%+v", pf)
	}
}

// Two that want to make VFs at the same time do so one after the other.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	b := machine(t, pair()...)
	var second error
	tree := sysfs.New(sysfs.Options{Root: b.Root(), State: filepath.Join(b.Root(), "run"), Write: b.Write, Told: func(string) {
		_, _, second = b.Enable(t.Context(), "eth2", 1)
	}})
	if _, _, err := tree.Enable(t.Context(), "eth1", 1); err != nil {
		t.Error(err)
	}
	if !errors.Is(second, sysfs.ErrBusy) || !strings.Contains(second.Error(), "another nicferry-agent makes VFs") {
		t.Error(second)
	}
}

// A dry run says what would be done, by which commands, and does nothing.
func TestPlan(t *testing.T) {
	t.Parallel()
	b := machine(t, sysfstest.Card{Name: "eth1", Address: first, TotalVFs: 63, Down: true})
	p, err := b.Plan("eth1", 64)
	want := "ip link set eth1 up; echo 63 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"
	if err != nil || p.Nothing() || p.VFs != 63 || strings.Join(p.Steps(), "; ") != want {
		t.Errorf("%+v, %v: %q", p, err, p.Steps())
	}
	if !strings.Contains(strings.Join(p.Notes, "\n"), "the machine has no IOMMU switched on: VFs serve containers") {
		t.Errorf("notes: %q", p.Notes)
	}
	if len(b.Writes()) != 0 {
		t.Errorf("written: %q", b.Writes())
	}
	b.enable("eth1", 4)
	p, err = b.Plan("eth1", 2)
	if want := "echo 0 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs; echo 2 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"; err != nil || strings.Join(p.Steps(), "; ") != want {
		t.Errorf("%+v, %v: %q", p, err, p.Steps())
	}
	if p, err = b.Plan("eth1", 4); err != nil || !p.Nothing() || len(p.Steps()) != 0 {
		t.Errorf("%+v, %v: %q", p, err, p.Steps())
	}
	b.Set("class/net/eth1/flags", "0x1002")
	if p, err = b.Plan("eth1", 4); err != nil || !p.Nothing() || !strings.Contains(strings.Join(p.Notes, "\n"), "VFs have no link before: ip link set eth1 up") {
		t.Errorf("switched off: %+v, %v", p, err)
	}
}

// Files of the kernel are written as they are, and none is made.
func TestTheRealWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := machine(t, pair()...)
		tree := sysfs.New(sysfs.Options{Root: b.Root(), State: filepath.Join(b.Root(), "run")})
		_, _, err := tree.Enable(t.Context(), "eth1", 4) // the file takes it, and there is no kernel behind it
		file := filepath.Join(b.Root(), "sys/bus/pci/devices/0000:01:00.0/sriov_numvfs")
		if text, readErr := os.ReadFile(file); readErr != nil || string(text) != "4\n" || !errors.Is(err, sysfs.ErrLate) {
			t.Errorf("written: %q, %v; %v", text, readErr, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tree.Enable(t.Context(), "eth1", 4); err == nil {
			t.Error("a file that is not there is written")
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("a file was made in sysfs")
		}
	})
}
