//go:build linux

package vf_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

func TestF38_AMACThatTheDriverReadsAtBindingIsNoticed(t *testing.T) {
	t.Parallel()
	for _, want := range []struct {
		name    string
		driver  vftest.Driver
		rebound bool
		err     error
	}{
		{"at once", vftest.Driver{}, false, nil},
		{"at binding", vftest.IGB(), true, nil},
		{"never", vftest.Driver{Binds: true, Deaf: true}, true, vf.ErrUnheeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, s, id, v := applied(t, 7, want.driver, 2)
			rebound, err := s.Heed(t.Context(), id, v)
			if rebound != want.rebound || !errors.Is(err, want.err) {
				t.Errorf("%s: rebound %t, %v; want %t, %v", want.name, rebound, err, want.rebound, want.err)
			}
			if again, err := s.Heed(t.Context(), id, v); want.err == nil && (again || err != nil) {
				t.Errorf("%s, again: rebound %t, %v", want.name, again, err)
			}
		})
	}
}

func TestF38_AnInterfaceInUseIsNotPulledAway(t *testing.T) {
	t.Parallel()
	n, s, id, v := applied(t, 7, vftest.IGB(), 2)
	n.Change(v.PCI, func(l *link.Link) { l.Up = true })
	if rebound, err := s.Heed(t.Context(), id, v); rebound || err == nil || !strings.Contains(err.Error(), "is in use: set it down") {
		t.Errorf("one that is up: rebound %t, %v", rebound, err)
	}
	n.Change(v.PCI, func(l *link.Link) { l.Index = 0 }) // in a container
	if rebound, err := s.Heed(t.Context(), id, v); rebound || !errors.Is(err, vf.ErrNotFound) {
		t.Errorf("one that is elsewhere: rebound %t, %v", rebound, err)
	}
	n.Unbind(v.PCI) // an agent died between two writes
	if rebound, err := s.Heed(t.Context(), id, v); !rebound || err != nil {
		t.Errorf("one without a driver: rebound %t, %v", rebound, err)
	}
	if rebound, err := s.Heed(t.Context(), nic.NewID(), v); rebound || !errors.Is(err, vf.ErrTaken) {
		t.Errorf("another's: rebound %t, %v", rebound, err)
	}
}

// An agent died between the two writes that bind a driver anew, and the NIC is given up:
// the VF has a driver again, or no list of the card's would have its interface.
func TestF31_AVFIsGivenBackWithADriver(t *testing.T) {
	t.Parallel()
	n := oneCard(7, vftest.IGB())
	dir, id, before := t.TempDir(), nic.NewID(), n.Settings()
	s := setter(t, n, dir)
	v := taken(t, s, id, wanted(n.VF("ens1", 2)))
	must(t, s.Apply(t.Context(), id, v))
	n.Unbind(v.PCI)
	for range 2 {
		must(t, setter(t, n, dir).Restore(t.Context(), id, v))
		if driver, err := n.Driver(v.PCI); err != nil || driver != "igbvf" {
			t.Errorf("given back with driver %q, %v", driver, err)
		}
	}
	same(t, "set back", before, n.Settings())
}

// wire is a veth in a namespace, as two ports.
func wire(t *testing.T) (from, peer vf.Port, mac nic.MAC, ns *netns.Namespace) {
	t.Helper()
	ns = netnstest.New(t)
	mac = nic.NewMAC()
	netnstest.Run(t, ns, "ip", "link", "add", "v0", "address", mac.String(), "type", "veth", "peer", "name", "v1")
	netnstest.Run(t, ns, "ip", "link", "set", "v0", "up")
	netnstest.Run(t, ns, "ip", "link", "set", "v1", "up")
	h, err := link.Open(ns)
	must(t, err)
	defer h.Close()
	a, err := h.ByName("v0")
	must(t, err)
	b, err := h.ByName("v1")
	must(t, err)
	return vf.Port{Namespace: ns, Index: a.Index}, vf.Port{Namespace: ns, Index: b.Index}, mac, ns
}

func TestF38_AFrameLeavesWithTheMAC(t *testing.T) {
	t.Parallel()
	from, peer, mac, ns := wire(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, vf.Leaves(ctx, from, mac, peer))
	must(t, vf.Leaves(ctx, from, mac, from))
	other := nic.NewMAC()
	if err := vf.Leaves(ctx, from, other, peer); !errors.Is(err, vf.ErrUnheeded) || !strings.Contains(err.Error(), mac.String()) {
		t.Errorf("another MAC: got %v; want %v and %s", err, vf.ErrUnheeded, mac)
	}
	netnstest.Run(t, ns, "ip", "link", "set", "v1", "down")
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := vf.Leaves(short, from, mac, peer); !errors.Is(err, vf.ErrUnseen) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wire that is cut: got %v; want %v", err, vf.ErrUnseen)
	}
	if err := vf.Leaves(t.Context(), from, mac, peer); err == nil {
		t.Error("a wait without an end was begun")
	}
	if err := vf.Leaves(ctx, vf.Port{Namespace: ns, Index: 9999}, mac, peer); err == nil {
		t.Error("a frame left from no interface")
	}
}

// tree is as much of sysfs as the bus reads and writes.
func tree(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	devices, driver := filepath.Join(root, "bus/pci/devices"), filepath.Join(root, "bus/pci/drivers/igbvf")
	real := filepath.Join(root, "devices/pci0000:00")
	for _, dir := range []string{devices, driver, filepath.Join(real, "0000:01:00.0"), filepath.Join(real, "0000:01:10.1"), filepath.Join(real, "0000:01:10.3")} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	for _, file := range []string{filepath.Join(driver, "bind"), filepath.Join(driver, "unbind"), filepath.Join(root, "bus/pci/drivers_probe")} {
		must(t, os.WriteFile(file, nil, 0o600))
	}
	for _, pci := range []string{"0000:01:00.0", "0000:01:10.1", "0000:01:10.3"} {
		must(t, os.Symlink("../../../devices/pci0000:00/"+pci, filepath.Join(devices, pci)))
	}
	must(t, os.Symlink("../0000:01:10.1", filepath.Join(real, "0000:01:00.0/virtfn0")))
	must(t, os.Symlink("../../../bus/pci/drivers/igbvf", filepath.Join(real, "0000:01:10.1/driver")))
	return root
}

func TestSysfs(t *testing.T) {
	t.Parallel()
	root := tree(t)
	bus := vf.Sysfs{Root: root}
	if got, err := bus.Function("0000:01:00.0", 0); err != nil || got != "0000:01:10.1" {
		t.Errorf("VF 0: got %q, %v", got, err)
	}
	if _, err := bus.Function("0000:01:00.0", 1); !errors.Is(err, vf.ErrNotFound) {
		t.Errorf("VF 1: got %v; want %v", err, vf.ErrNotFound)
	}
	if _, err := bus.Function("../../0000", 0); err == nil || errors.Is(err, vf.ErrNotFound) {
		t.Errorf("a path: got %v", err)
	}
	wrote := func(file, want string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, "bus/pci", file))
		if err != nil || string(text) != want {
			t.Errorf("%s: %q, %v; want %q", file, text, err, want)
		}
	}
	for pci, want := range map[string]string{"0000:01:10.1": "igbvf", "0000:01:10.3": ""} {
		if got, err := bus.Driver(pci); err != nil || got != want {
			t.Errorf("driver of %s: %q, %v; want %q", pci, got, err, want)
		}
	}
	must(t, bus.Rebind("0000:01:10.1"))
	wrote("drivers/igbvf/unbind", "0000:01:10.1")
	wrote("drivers/igbvf/bind", "0000:01:10.1")
	must(t, bus.Rebind("0000:01:10.3")) // it has no driver
	wrote("drivers_probe", "0000:01:10.3")
	if err := bus.Rebind("../../../etc"); err == nil {
		t.Error("a path was bound")
	}
}
