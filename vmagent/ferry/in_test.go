//go:build linux

package ferry

import (
	"context"
	"errors"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/device"
)

func TestInAndOut(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, ipv6 := range []bool{false, true} {
			name := string(kind) + "/IPv4"
			if ipv6 {
				name = string(kind) + "/IPv6"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				n := w.make(kind, 1400)
				l := w.in(n, "eth0", ipv6)
				if l.Name != "eth0" || l.MAC != n.d.MAC || l.MTU != 1400 || !l.Up {
					t.Errorf("in the container it is %+v", l)
				}
				want := map[string]string{"accept_ra": "0", "disable_ipv6": onOff(!ipv6)}
				for key, value := range want {
					if got, err := w.inside.Sysctl("ipv6", "conf", "eth0", key); got != value || err != nil {
						t.Errorf("%s: got %q, %v; want %s", key, got, err, value)
					}
				}
				if got, err := w.inside.Sysctl("ipv6", "conf", "lo", "disable_ipv6"); got != onOff(!ipv6) || err != nil {
					t.Errorf("lo: disable_ipv6: got %q, %v; want %s", got, err, onOff(!ipv6))
				}
				for range 2 {
					w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
					w.clean(n, 1400)
				}
				w.in(n, "eth0", ipv6)
			})
		}
	}
}

// A second NIC with IPv6 must not switch it on for the first one without.
func TestIPv6IsPerNIC(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.in(w.make(nic.Veth, 0), "eth0", false)
	w.in(w.make(nic.Veth, 0), "eth1", true)
	w.in(w.make(nic.Veth, 0), "eth2", false)
	for name, value := range map[string]string{"eth0": "1", "eth1": "0", "eth2": "1"} {
		if got, err := w.inside.Sysctl("ipv6", "conf", name, "disable_ipv6"); got != value || err != nil {
			t.Errorf("%s: disable_ipv6: got %q, %v; want %s", name, got, err, value)
		}
	}
}

// An agent that starts again finds the NIC in the container. It must not send
// one message that changes something: a packet could get lost.
func TestAdoptTouchesNothingThatIsRight(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			l := w.in(n, "eth0", true)
			w.ok(w.ferry.AwaitCarrier(w.inside, l.Index)) // which the kernel notes a little later
			watch, err := link.Subscribe(w.inside)
			w.ok(err)
			w.ok(w.maker.Ensure(t.Context(), n.id, n.d, w.inside))
			w.in(n, "eth0", true)
			watch.Close()
			if _, woken := <-watch.C; woken {
				t.Error("adopting an orderly NIC changed a link")
			}
		})
	}
}

func TestAdoptPutsRight(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 1400)
			l := w.in(n, "eth0", false)
			spoilt := link.Change{Name: "hidden", MTU: 1300, MAC: nic.NewMAC()}
			w.ok(w.links.Set(l, spoilt))
			w.ok(w.links.Set(l, link.Change{Up: new(false)}))
			w.run(w.inside, "link", "property", "add", "dev", "hidden", "altname", "eth0")
			w.ok(w.inside.SetSysctl("0", "ipv6", "conf", "hidden", "disable_ipv6"))
			got := w.in(n, "eth0", false)
			wantMAC := n.d.MAC
			if kind == nic.Found {
				wantMAC = spoilt.MAC // a card's own; not ours to set while it is held
			}
			if got.Name != "eth0" || got.MTU != 1400 || got.MAC != wantMAC || !got.Up || got.Index != l.Index {
				t.Errorf("adopted link is %+v", got)
			}
			if v, err := w.inside.Sysctl("ipv6", "conf", "eth0", "disable_ipv6"); v != "1" || err != nil {
				t.Errorf("disable_ipv6: got %q, %v; want 1", v, err)
			}
		})
	}
}

// F33: the name is taken inside. The NIC stays at home, clean, and so do the
// settings of the container.
func TestF33_NameTakenInside(t *testing.T) {
	t.Parallel()
	for _, altname := range []bool{false, true} {
		w := newWorld(t)
		n := w.make(nic.Veth, 0)
		w.run(w.inside, "link", "add", "docker7", "type", "veth", "peer", "name", "docker8")
		if altname {
			w.run(w.inside, "link", "property", "add", "dev", "docker7", "altname", "eth0")
		} else {
			w.run(w.inside, "link", "set", "docker7", "name", "eth0")
		}
		before := w.run(w.inside, "link")
		watch, err := link.Subscribe(w.inside)
		w.ok(err)
		_, err = w.ferry.In(t.Context(), n.id, n.d, w.inside, Entry{Name: "eth0", IPv6: true})
		if !errors.Is(err, ErrNameTaken) {
			t.Errorf("got %v, want ErrNameTaken", err)
		}
		watch.Close()
		if _, woken := <-watch.C; woken {
			t.Error("a link changed in the container on the way to the refusal")
		}
		if after := w.run(w.inside, "link"); after != before {
			t.Errorf("the container changed from\n%sto\n%s", before, after)
		}
		w.run(w.inside, "link", "del", "docker8")
		w.clean(n, 1500)
		w.in(n, "eth0", true)
	}
}

// F33: the name gets taken between question and move: the kernel has moved the
// link when it refuses the name.
func TestF33_NameTakenTooLateIsUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	at, _, err := w.maker.Locate(t.Context(), n.id, n.d)
	w.ok(err)
	w.run(w.inside, "link", "add", "eth0", "type", "veth", "peer", "name", "docker8")
	if _, err := w.hostLinks.Move(at.Link, w.links, link.Change{Name: "eth0"}); !errors.Is(err, link.ErrExists) {
		t.Fatalf("move onto a taken name: got %v, want ErrExists", err)
	}
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside)) // what carry's undo does
	w.run(w.inside, "link", "del", "docker8")
	w.clean(n, 1500)
}

// A step that fails after settings were changed sets them back.
func TestSettingsAreUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	n.d.MTU = 1 << 20 // the kernel refuses that, after the move
	if _, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, Entry{Name: "eth0", IPv6: true}); err == nil {
		t.Fatal("an MTU of a mebibyte was accepted")
	}
	for _, key := range []string{"accept_ra", "disable_ipv6"} {
		if got, err := w.inside.Sysctl("ipv6", "conf", "default", key); got != "1" || err != nil {
			t.Errorf("default.%s: got %q, %v; want 1 as before", key, got, err)
		}
	}
	n.d.MTU = 0
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
	w.clean(n, 1500)
}

// F34: an alternative name equal to the wanted one, three times over.
func TestF34_AltNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Found, 0)
	w.run(w.host, "link", "add", "blocker", "type", "bridge")
	for range 3 {
		at, _, err := w.maker.Locate(t.Context(), n.id, n.d)
		w.ok(err)
		w.run(w.host, "link", "property", "add", "dev", at.Link.Name, "altname", "eth0")
		w.in(n, "eth0", false)
		w.run(w.inside, "link", "property", "add", "dev", "eth0", "altname", "blocker", "altname", n.id.LinkName("nt"))
		w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
		w.clean(n, 1500)
	}
}

// F47: whatever path led there, the host's own namespace is no container.
func TestF47_HostNamespaceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	if _, err := w.ferry.In(t.Context(), n.id, n.d, w.host, Entry{Name: "eth0", IPv6: false}); !errors.Is(err, ErrHostNamespace) {
		t.Errorf("in: got %v, want ErrHostNamespace", err)
	}
	end := w.at(w.hostLinks, n.id.LinkName("nf"))
	if err := w.ferry.Apply(t.Context(), w.host, end.Index, nic.Layer3{}); !errors.Is(err, ErrHostNamespace) {
		t.Errorf("apply: got %v, want ErrHostNamespace", err)
	}
	w.clean(n, 1500)
}

func TestInRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	for _, name := range []string{"", "lo", "all", "-x", "a/b", "a234567890123456"} {
		if _, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, Entry{Name: name, IPv6: false}); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if _, err := w.ferry.In(t.Context(), nic.NewID(), n.d, w.inside, Entry{Name: "eth0", IPv6: false}); !errors.Is(err, ErrNotThere) {
		t.Errorf("unmade NIC: got %v, want ErrNotThere", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.ferry.In(ctx, n.id, n.d, w.inside, Entry{Name: "eth0", IPv6: false}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: got %v", err)
	}
	w.in(n, "eth0", false)
	if _, err := w.ferry.In(t.Context(), n.id, n.d, container(t), Entry{Name: "eth0", IPv6: false}); !errors.Is(err, device.ErrElsewhere) {
		t.Errorf("NIC in another container: got %v, want ErrElsewhere", err)
	}
}
