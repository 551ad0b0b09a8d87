//go:build linux

package vfio_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vfio"
)

// TestOnACard is for a machine with a device that may go to user space: NICFERRY_VFIO is
// its PCI address. With NICFERRY_VFIO_WAS, a file that is not there yet, it goes there and
// the file says what served it; with one that is there, it comes back. Suite sriov has
// such a device. Without it the room says so in words.
func TestOnACard(t *testing.T) {
	pci, file := os.Getenv("NICFERRY_VFIO"), os.Getenv("NICFERRY_VFIO_WAS")
	b := vfio.New(vfio.Options{})
	if pci == "" {
		if err := b.Bind(t.Context(), "ffff:ff:1f.7"); !errors.Is(err, vfio.ErrNotFound) {
			t.Errorf("got %v; want %v", err, vfio.ErrNotFound)
		}
		return
	}
	now, err := b.Driver(pci)
	must(t, err)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if text, err = json.Marshal(now); err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		must(t, err)
		for range 2 {
			must(t, b.Bind(t.Context(), pci))
		}
		device, err := b.Device(pci)
		must(t, err)
		if _, err := os.Stat(device); err != nil {
			t.Error(err)
		}
		t.Logf("%s, which was with %+v, is %s", pci, now, device)
		return
	}
	var was nic.VFDriver
	must(t, errors.Join(err, json.Unmarshal(text, &was)))
	for range 2 {
		must(t, b.Unbind(t.Context(), pci, was))
	}
	if now, err = b.Driver(pci); err != nil || now != was {
		t.Errorf("it is with %+v, %v; and was with %+v", now, err, was)
	}
}
