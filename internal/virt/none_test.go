//go:build !libvirt

package virt

import "testing"

func TestProgramWithoutLibvirtSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	c, err := Open(t.Context(), Options{URI: "qemu:///system"})
	want(t, err, ErrNoLibvirt)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	want(t, c.Plug(t.Context(), "vm", card(1)), ErrNoLibvirt)
}
