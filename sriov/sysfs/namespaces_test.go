//go:build linux

package sysfs_test

import (
	"os/exec"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/sriov/sysfs"
)

// A process's namespace whose links are no PCI devices is gone into, and has none.
// That the interface of a real card is found is seen in e2e/sriov.
func TestNamespacesWithoutCards(t *testing.T) {
	ns := netnstest.New(t)
	netnstest.Run(t, ns, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
	holder := exec.CommandContext(t.Context(), "sleep", "600")
	if err := ns.Do(holder.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = holder.Process.Kill() // it may have ended
		_ = holder.Wait()
	})
	before, err := sysfs.Namespaces()
	if err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, ns, "ip", "link", "add", "three", "type", "bridge")
	after, err := sysfs.Namespaces()
	if err != nil || len(after) != len(before) {
		t.Errorf("with a bridge more: %v, before: %v; %v", after, before, err)
	}
}
