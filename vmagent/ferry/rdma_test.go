//go:build linux

package ferry

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device/devicetest"
)

// withRDMA is a world whose VFs have RDMA devices, of which the first two are a NIC's.
func withRDMA(t *testing.T, kind nic.DeviceKind) (*world, made, *devicetest.RDMA) {
	w := newWorld(t)
	cards := devicetest.New(t, w.host, 3)
	r := cards.RDMA()
	w.maker.UseFunctions(cards)
	w.maker.UseRDMA(r)
	n := made{nic.NewID(), nic.Device{Kind: kind, MAC: nic.NewMAC(), MTU: 1400}}
	if kind == nic.SRIOV {
		n.d.VF = devicetest.VF(0, n.d.MAC)
	} else {
		n.d.Bond = devicetest.Bond(nic.BondActiveBackup, n.d.MAC)
	}
	return w, n, r
}

// An RDMA device goes where its VF goes, and comes home with it; others stay.
func TestRDMADeviceGoesWithItsVF(t *testing.T) {
	t.Parallel()
	for _, kind := range []nic.DeviceKind{nic.SRIOV, nic.Bonded} {
		w, n, r := withRDMA(t, kind)
		w.ok(w.maker.Ensure(t.Context(), n.id, n.d))
		host, inside := w.host.ID(), w.inside.ID()
		second := host
		if kind == nic.Bonded {
			second = inside
			if !w.joined(n) {
				if r.Where(0) != host || r.Where(1) != host {
					t.Error("refused, and not all RDMA devices are home")
				}
				continue
			}
		} else {
			w.in(n, "eth0", true)
		}
		if r.Where(0) != inside || r.Where(1) != second || r.Where(2) != host {
			t.Errorf("%s: in the container %s are at %s, %s, %s", kind, inside, r.Where(0), r.Where(1), r.Where(2))
		}
		for range 2 {
			w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
			if r.Where(0) != host || r.Where(1) != host {
				t.Errorf("%s: out again they are at %s, %s; want %s", kind, r.Where(0), r.Where(1), host)
			}
		}
		w.home(n)
	}
}

// A VF whose RDMA device stays behind is not brought in; one of a crash between the two is
// completed.
func TestRDMADeviceThatDoesNotGo(t *testing.T) {
	t.Parallel()
	w, n, r := withRDMA(t, nic.SRIOV)
	w.ok(w.maker.Ensure(t.Context(), n.id, n.d))
	r.Refuse = errors.New("in use")
	_, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, Entry{Name: "eth0"})
	if !errors.Is(err, r.Refuse) {
		t.Errorf("got %v; want %v", err, r.Refuse)
	}
	w.home(n)
	r.Refuse = nil
	at, _, err := w.maker.Locate(t.Context(), n.id, n.d)
	w.ok(err)
	_, err = w.hostLinks.Move(at.Link, w.links, link.Change{Name: "eth0"}) // and then the agent dies
	w.ok(err)
	w.in(n, "eth0", true)
	if r.Where(0) != w.inside.ID() {
		t.Errorf("after a crash it is at %s", r.Where(0))
	}
}

// Where all namespaces have all RDMA devices such VFs are refused, before anything is set.
func TestSharedRDMAIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []nic.DeviceKind{nic.SRIOV, nic.Bonded} {
		w, n, r := withRDMA(t, kind)
		r.Shared = true
		err := w.maker.Ensure(t.Context(), n.id, n.d)
		for _, want := range []string{"VF 0000:03:10.0 has the RDMA device rdma0", "in all network namespaces", "rdma system set netns exclusive"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v; want in it %q", kind, err, want)
			}
		}
		if l := w.at(w.hostLinks, "vf0"); l.MAC == n.d.MAC {
			t.Errorf("%s: refused, and it is %+v", kind, l)
		}
	}
}
