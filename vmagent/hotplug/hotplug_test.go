//go:build linux

package hotplug

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var mac, otherMAC = nic.MAC{0x02, 0, 0, 0, 0, 1}, nic.MAC{0x02, 0, 0, 0, 0, 2}

func TestPick(t *testing.T) {
	t.Parallel()
	nic1 := link.Link{Index: 2, Name: "eth1", MAC: mac, PermMAC: mac}
	tests := []struct {
		name  string
		links []link.Link
		want  string
		err   error
	}{
		{"none", nil, "", ErrNotFound},
		{"permanent", []link.Link{nic1}, "eth1", nil},
		{"MAC changed", []link.Link{{Name: "eth1", MAC: otherMAC, PermMAC: mac}}, "eth1", nil},
		{"impostor", []link.Link{nic1, {Name: "eth2", MAC: mac, PermMAC: otherMAC}}, "eth1", nil},
		{"only an impostor", []link.Link{{Name: "eth2", MAC: mac, PermMAC: otherMAC}}, "", ErrNotFound},
		{"no permanent MAC", []link.Link{{Name: "eth1", MAC: mac}}, "eth1", nil},
		{"bridge, VLAN and macvlan borrow it", []link.Link{
			nic1, {Name: "br0", Kind: "bridge", MAC: mac}, {Name: "eth1.5", Kind: "vlan", MAC: mac, ParentIndex: 2},
		}, "eth1", nil},
		{"only a bridge", []link.Link{{Name: "br0", Kind: "bridge", MAC: mac}}, "", ErrNotFound},
		// L01: the VF of an Azure VM is a slave of its netvsc.
		{"VF and master", []link.Link{{Index: 3, Name: "vf", MAC: mac, PermMAC: mac, Master: 2}, nic1}, "eth1", nil},
		{"duplicate", []link.Link{nic1, {Index: 3, Name: "eth2", MAC: mac, PermMAC: mac}}, "", ErrAmbiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Pick(tt.links, mac)
			if got.Name != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got.Name, err, tt.want, tt.err)
			}
		})
	}
}

// watch runs a watcher of ns until the test ends.
func watch(t *testing.T, ns *netns.Namespace) *Watcher {
	t.Helper()
	w := NewWatcher(ns)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// await returns a channel that tells of the arrival.
func await(w *Watcher, mac nic.MAC) <-chan struct{} { return awaitFor(w, mac, nic.NewID()) }

func awaitFor(w *Watcher, mac nic.MAC, of nic.ID) <-chan struct{} {
	came := make(chan struct{}, 8)
	w.Await(mac, of, func() { came <- struct{}{} })
	return came
}

func TestArrivalsAreTold(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	w := watch(t, ns)
	one, two := nic.NewID(), nic.NewID()
	came, never, forgotten := await(w, mac), await(w, nic.MAC{0x02, 0, 0, 0, 0, 3}), awaitFor(w, otherMAC, one)
	w.Forget(otherMAC, two)
	w.Forget(otherMAC, one)
	// Two seats wait for the NIC that they are on, a third no longer.
	replaced, seat := awaitFor(w, mac, one), awaitFor(w, mac, one)
	left := awaitFor(w, mac, two)
	w.Forget(mac, two)
	netnstest.Run(t, ns, "ip", "link", "add", "late0", "address", mac.String(), "type", "veth",
		"peer", "name", "late1", "address", otherMAC.String())
	within(t, came, "a NIC that comes")
	within(t, seat, "a second that waits for it")
	within(t, await(w, mac), "one that is there already")
	netnstest.Run(t, ns, "ip", "link", "set", "late1", "address", mac.String())
	within(t, await(w, mac), "two with one MAC")
	if len(came)+len(never)+len(forgotten)+len(replaced)+len(left) != 0 {
		t.Error("told of what did not come, or twice")
	}
}

func within(t *testing.T, came <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-came:
	case <-time.After(time.Minute):
		t.Fatalf("%s: not told within a minute", what)
	}
}
