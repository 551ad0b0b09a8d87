//go:build linux

package ferry

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// F30: the kernel pushes a NIC home under any name, such as dev<ifindex>.
func TestF30_ComesHomeUnderAnotherName(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, name := range []string{"dev1234", "eth0"} {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				n := w.make(kind, 1400)
				l := w.in(n, "eth0", true)
				// As when the namespace died: moved home, down, the rest as it was.
				_, err := w.links.Move(l, w.hostLinks, link.Change{Name: name, MTU: 1300})
				w.ok(err)
				w.ok(w.ferry.Out(t.Context(), n.id, n.d, nil))
				w.clean(n, 1400)
			})
		}
	}
}

// F31: a bridge that the container made keeps nothing of the NIC.
func TestF31_PortOfABridgeInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	w.in(n, "eth0", false)
	w.run(w.inside, "link", "add", "br0", "type", "bridge")
	w.run(w.inside, "link", "set", "eth0", "master", "br0")
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
	w.run(w.inside, "link", "del", "br0")
	w.clean(n, 1500)
}

// F35: the NIC is up and carries traffic while it is taken back.
func TestF35_OutUnderTraffic(t *testing.T) {
	t.Parallel()
	for _, kind := range []nic.DeviceKind{nic.Veth, nic.Found} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			l := w.in(n, "eth0", false)
			w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, layer3("10.5.0.2/24")))
			peer := "wire9"
			if kind == nic.Veth {
				peer = "nfbr0"
			}
			w.run(w.host, "addr", "add", "10.5.0.1/24", "dev", peer)
			flood := start(t, w.inside, "ping", "-f", "-q", "10.5.0.1")
			netnstest.Run(t, w.inside, "ping", "-c", "3", "-i", "0.01", "-W", "2", "10.5.0.1") // the flood flows
			w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
			if err := flood.Process.Kill(); err != nil {
				t.Errorf("the flood had ended by itself: %v", err)
			}
			w.clean(n, 1500)
		})
	}
}

// start runs a command inside until the test ends.
func start(t *testing.T, ns *netns.Namespace, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead already
		_ = cmd.Wait()         // its exit status is the kill
	})
	return cmd
}

// F53: nothing is left of the NIC, of its namespace, or of either; and twice.
func TestF53_TeardownWithNothingLeft(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			w.in(n, "eth0", false)
			w.run(w.inside, "link", "del", "eth0") // as when the namespace died
			for _, from := range []*netns.Namespace{w.inside, nil, w.host} {
				w.ok(w.ferry.Out(t.Context(), n.id, n.d, from))
				w.ok(w.maker.Remove(t.Context(), n.id, n.d))
			}
			left, err := w.maker.Leftovers(t.Context())
			if err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			if _, err := w.hostLinks.ByName("nfbr0"); err == nil {
				t.Error("the bridge is left")
			}
		})
	}
}

// F46: the container was restarted: out of the old namespace, into the new one.
func TestF46_RestartedContainer(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			old := w.inside
			for i := range 3 {
				next := container(t)
				w.ok(w.ferry.Out(t.Context(), n.id, n.d, old))
				l, err := w.ferry.In(t.Context(), n.id, n.d, next, Entry{Name: fmt.Sprintf("eth%d", i)})
				w.ok(err)
				if at, found, err := w.maker.Locate(t.Context(), n.id, n.d, old, next); err != nil || !found ||
					at.Namespace != next || at.Link.Index != l.Index {
					t.Errorf("NIC is at %+v, %t, %v", at, found, err)
				}
				old = next
			}
		})
	}
}

// L13: a late clean-up of the old container leaves the next one's NIC alone.
func TestLateOutLeavesTheNextContainerAlone(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			l := w.in(n, "eth0", false)
			for _, from := range []*netns.Namespace{container(t), nil} {
				w.ok(w.ferry.Out(t.Context(), n.id, n.d, from))
			}
			if now, err := w.links.ByIndex(l.Index); err != nil || now.Name != "eth0" || !now.Up {
				t.Errorf("the NIC is %+v, %v", now, err)
			}
		})
	}
}
