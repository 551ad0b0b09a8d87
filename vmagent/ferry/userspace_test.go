//go:build linux

package ferry

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A VF that was to go to user space and was never bound has its interface still: it is
// not ours to wipe, whatever it is like.
func TestF31_AVFForUserSpaceIsNotWiped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.functions(nic.SRIOV)
	n.d.VF.UserSpace = true
	netnstest.Run(t, w.host, "ip", "link", "set", "VF11", "address", "02:00:00:00:00:55", "mtu", "1300", "alias", "mine")
	before := netnstest.Run(t, w.host, "ip", "-o", "link", "show", "dev", "VF11")
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, nil))
	_, astray, err := w.ferry.Recover(t.Context(), n.id, n.d, nil)
	w.ok(err)
	if after := netnstest.Run(t, w.host, "ip", "-o", "link", "show", "dev", "VF11"); after != before || astray || !strings.Contains(after, "02:00:00:00:00:55") {
		t.Errorf("it is\n%s\nand was\n%s", after, before)
	}
}

// One whose driver has not heeded its MAC yet is given back all the same: its PF refuses
// any other.
func TestF31_AVFWithAnotherMACIsWiped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.functions(nic.SRIOV)
	netnstest.Run(t, w.host, "ip", "link", "set", "VF11", "address", "02:00:00:00:00:55", "alias", "mine", "up")
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, nil))
	if after := netnstest.Run(t, w.host, "ip", "-o", "link"); !strings.Contains(after, "02:00:00:00:00:55") || strings.Contains(after, "mine") {
		t.Errorf("it is\n%s", after)
	}
}
