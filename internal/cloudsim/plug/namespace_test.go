//go:build linux

package plug_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/plug"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// path names a namespace while it is open.
func path(ns *netns.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()) }

// A card is in its machine as one of a cloud, talks to the switch, and goes by being
// unplugged also when a container has it by another name and another MAC.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	at, machine, container := netnstest.New(t), netnstest.New(t), netnstest.New(t)
	netnstest.Run(t, at, "ip", "link", "add", "vpc0", "mtu", "9001", "type", "bridge")
	netnstest.Run(t, at, "ip", "addr", "add", "10.80.0.1/18", "dev", "vpc0")
	netnstest.Run(t, at, "ip", "link", "set", "vpc0", "up")
	n := plug.NewNamespaces(plug.NamespaceOptions{Switch: path(at), Bridge: "vpc0", MTU: 9001})
	mac := cloudsim.MAC{0x02, 0x1a, 0, 0, 0, 7}
	if err := n.Plug(t.Context(), "i-1", mac); !errors.Is(err, plug.ErrNoMachine) {
		t.Errorf("without a machine: %v", err)
	}
	n.Machine("i-1", path(machine))
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		do(n.Plug(t.Context(), "i-1", mac))
		out := netnstest.Run(t, machine, "ip", "-o", "link", "show", "type", "veth")
		if strings.Count(out, "\n") != 1 || !strings.Contains(out, mac.String()) || !strings.Contains(out, "mtu 9001") || strings.Contains(out, "UP") {
			t.Fatalf("in the machine: %s", out)
		}
		if err := n.Plug(t.Context(), "i-1", mac); err == nil {
			t.Error("plugged in twice")
		}
		name, _, _ := strings.Cut(strings.Fields(out)[1], "@")
		netnstest.Run(t, machine, "ip", "link", "set", name, "netns", path(container), "name", "eth0", "address", "02:00:00:00:00:99")
		netnstest.Run(t, container, "ip", "addr", "add", "10.80.0.9/18", "dev", "eth0")
		netnstest.Run(t, container, "ip", "link", "set", "eth0", "up")
		netnstest.Run(t, container, "ping", "-c", "1", "-W", "5", "10.80.0.1")
		do(n.Unplug(t.Context(), "i-1", mac))
		do(n.Unplug(t.Context(), "i-1", mac))
		for who, ns := range map[string]*netns.Namespace{"switch": at, "machine": machine, "container": container} {
			if out := netnstest.Run(t, ns, "ip", "-o", "link", "show", "type", "veth"); out != "" {
				t.Errorf("left in the %s: %s", who, out)
			}
		}
	}
	n.Machine("i-1", filepath.Join(t.TempDir(), "gone")) // a number of ours that is free may soon be another file's
	if err := n.Plug(t.Context(), "i-1", mac); !errors.Is(err, netns.ErrGone) {
		t.Errorf("into a machine that is gone: %v", err)
	}
	if out := netnstest.Run(t, at, "ip", "-o", "link", "show", "type", "veth"); out != "" {
		t.Errorf("left in the switch: %s", out)
	}
}
