//go:build linux

package hotplug

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/link"
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

func TestWaitSeesArrivalAndLeaving(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	type answer struct {
		l   link.Link
		err error
	}
	came := make(chan answer, 1)
	go func() {
		l, err := Wait(ctx, ns, mac)
		came <- answer{l, err}
	}()
	netnstest.Run(t, ns, "ip", "link", "add", "late0", "address", mac.String(), "type", "veth", "peer", "name", "late1")
	if a := <-came; a.err != nil || a.l.Name != "late0" {
		t.Fatalf("got %+v, %v; want late0", a.l, a.err)
	}
	gone := make(chan error, 1)
	go func() { gone <- WaitGone(ctx, ns, mac) }()
	netnstest.Run(t, ns, "ip", "link", "del", "late0")
	if err := <-gone; err != nil {
		t.Fatal(err)
	}
}

func TestWaitEndsWithItsDeadlineAndSaysFor(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := Wait(ctx, ns, mac)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), mac.String()) {
		t.Errorf("got %v; want a deadline error that names %s", err, mac)
	}
}
