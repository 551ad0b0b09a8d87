//go:build linux

package vmagent_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

const movingMAC = "02:00:00:00:66:01"

func mac(t *testing.T) nic.MAC {
	t.Helper()
	m, err := nic.ParseMAC(movingMAC)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// whole waits until the NIC is in with an address of each version.
func (m *machine) whole(w nic.Wanted) []netip.Prefix {
	m.t.Helper()
	for late := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if said, _ := m.Await(m.t, w, nic.ObservedIn); len(said.Addrs) == 2 {
			return said.Addrs
		} else if time.Now().After(late) {
			m.t.Fatalf("waited a minute for two addresses; the node says %+v", said)
		}
	}
}

// F59: a claim that moves to another node keeps the addresses that its DHCP servers
// gave it. The node that it leaves says nothing to them and keeps nothing, whether
// the container died before or with the order; the next asks for the same ones. The
// servers know one client.
func TestF59_ALeaseMovesAlong(t *testing.T) {
	for _, when := range []string{"the container has died", "the container runs", "a new agent"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			a, b := newMachine(t), newMachine(t)
			l := newLAN(t)
			l.plug(a)
			l.plug(b)
			before := a.links()
			there := onLAN("nic-0000000000000001", mac(t), 1)
			a.engine.run(t, id(1), nil)
			a.Want(there)
			addrs := a.whole(there)
			asked := l.kinds("DHCPDISCOVER", "DHCPSOLICIT")

			switch when {
			case "the container has died":
				a.engine.die(id(1))
				a.Await(t, there, nic.ObservedMade)
			case "a new agent":
				a.stop()
				a.engine.die(id(1))
				a.start()
				a.Await(t, there, nic.ObservedMade)
			}
			gone := there
			gone.Gone, gone.Moves, gone.Epoch = true, true, 2
			a.Want(gone)
			a.Await(t, gone, nic.ObservedClean)
			if left := a.links(); !slices.Equal(left, before) {
				t.Errorf("the host had %q and has %q", before, left)
			}
			for _, kind := range []string{"leases", "leases6", "homes"} {
				if files, err := os.ReadDir(a.dir + "/" + kind); err != nil || len(files) != 0 {
					t.Errorf("of the NIC there is still %v in %s, %v", files, kind, err)
				}
			}

			here := onLAN("nic-0000000000000002", mac(t), 2)
			here.Epoch, here.Last = 2, addrs
			b.engine.run(t, id(2), nil)
			b.Want(here)
			if got := b.whole(here); !slices.Equal(got, addrs) {
				t.Errorf("at the new place it has %s, want %s", got, addrs)
			}
			if got := l.kinds("DHCPRELEASE", "DHCPDECLINE", "DHCPNAK"); got != "DHCPDECLINE 0, DHCPNAK 0, DHCPRELEASE 0" {
				t.Errorf("the servers heard %s", got)
			}
			// The version 4 server is asked for the address itself; version 6 has no such
			// question to one that does not hold it, and the answer is in one round too.
			if got := l.kinds("DHCPDISCOVER", "DHCPSOLICIT"); got[:len("DHCPDISCOVER 1")] != asked[:len("DHCPDISCOVER 1")] {
				t.Errorf("the servers heard %s, and before the move %s", got, asked)
			}
			if known := l.server.Clients(); len(known) != 2 {
				t.Errorf("the servers know %q, want one client of each version", known)
			}
		})
	}
}

// An address that is not to be had at the new place costs no more than the
// question.
func TestF59_ALostAddressIsReplaced(t *testing.T) {
	t.Parallel()
	m, l := newMachine(t), newLAN(t)
	l.plug(m)
	w := onLAN("nic-0000000000000001", mac(t), 1)
	w.Last = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("fd00:77::7/128")}
	m.engine.run(t, id(1), nil)
	m.Want(w)
	for _, got := range m.whole(w) {
		if slices.Contains(w.Last, got) {
			t.Errorf("it has %s, which nobody gave it", got)
		}
	}
	if got := l.kinds("DHCPNAK", "DHCPDISCOVER"); got != "DHCPDISCOVER 1, DHCPNAK 1" {
		t.Errorf("the server heard %s", got)
	}
}

// A wish's owner may change while its container runs: the NIC leaves that one,
// which goes on, and goes into the new one, whichever worker is first, and also
// where an earlier agent brought it in. So it does if the new one does not run yet.
func TestAnOwnerChange(t *testing.T) {
	for _, test := range []struct {
		name string
		kind nic.DeviceKind
	}{{"veth", nic.Veth}, {"macvlan", nic.Macvlan}, {"plugged", nic.Found}} {
		for _, how := range []string{"running", "later", "new agent", "dead"} {
			t.Run(test.name+" "+how, func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				w := onLAN("nic-0000000000000001", mac(t), 1)
				w.Device = nic.Device{Kind: test.kind, MAC: w.Device.MAC}
				switch test.kind {
				case nic.Veth:
					w.Device.Bridge = nic.Bridge{Name: "nf-lan", Owned: true}
				case nic.Macvlan:
					netnstest.Run(t, m.host, "ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
					netnstest.Run(t, m.host, "ip", "link", "set", "wire0", "up")
					w.Device.Parent = "wire0"
				case nic.Found:
					netnstest.Run(t, m.host, "ip", "link", "add", "ens7", "address", movingMAC, "type", "veth", "peer", "name", "tap7")
				}
				w.Layer3 = nic.Layer3{Addrs: []netip.Prefix{netip.MustParsePrefix("10.66.0.7/24")}, DefaultRoute: true}
				first := m.engine.space(t)
				m.engine.runIn(first, id(1), os.Getpid(), nil) // the test is not in it: it does not live by this process
				if how != "dead" {
					pid := process(t, first)
					m.engine.runIn(first, id(1), pid, nil)
				}
				m.Want(w)
				m.Await(t, w, nic.ObservedIn)
				netnstest.Run(t, first, "ip", "link", "add", "own0", "type", "bridge")

				if how == "new agent" {
					m.stop()
				}
				w.Owner.Sandbox, w.Container, w.Epoch = id(2), "c0002", 2
				if how == "later" {
					m.engine.create(id(2), nil)
					m.Want(w)
					m.Await(t, w, nic.ObservedMade)
				}
				second := m.engine.run(t, id(2), nil)
				m.Want(w)
				if how == "new agent" {
					m.start()
				}
				m.Await(t, w, nic.ObservedIn)
				if got := m.addrs(second); !strings.Contains(got, "eth0    inet 10.66.0.7/24") {
					t.Errorf("in the new container:\n%s", got)
				}
				if got := m.addrs(first); strings.Contains(got, "eth0") {
					t.Errorf("in the former:\n%s", got)
				}
				if got := netnstest.Run(t, first, "ip", "-br", "link"); !strings.Contains(got, "own0") {
					t.Errorf("the former has lost what is its own:\n%s", got)
				}
				if log := m.log.String(); strings.Contains(log, "hidden it") {
					t.Errorf("the log has it that the container was hostile:\n%s", log)
				}
			})
		}
	}
}

// A NIC that comes from another node is waited for first; but where a container of
// before has hidden it here, it is found in the end.
func TestANICOnTheMoveIsFoundWhereItHides(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	w := onLAN("nic-0000000000000001", mac(t), 1)
	w.Device = nic.Device{Kind: nic.Found, MAC: w.Device.MAC}
	w.Layer3 = nic.Layer3{Addrs: []netip.Prefix{netip.MustParsePrefix("10.66.0.7/24")}}
	w.Last = w.Layer3.Addrs
	hidden := m.engine.space(t)
	process(t, hidden)
	netnstest.Run(t, hidden, "ip", "link", "add", "ens7", "address", w.Device.MAC.String(), "type", "veth", "peer", "name", "tap7")
	m.engine.run(t, id(1), nil)
	m.Want(w)
	m.Await(t, w, nic.ObservedIn)
	if log := m.log.String(); !strings.Contains(log, "hidden it") {
		t.Errorf("the log says\n%s", log)
	}
}

// A container that its claim has left is told of in plain words, once.
func TestAMovedContainerIsToldOf(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Answer(nic.Claim{ID: "clm-1", Phase: nic.ClaimRefused, Conditions: []nic.Condition{{
		Reason: nic.ReasonMoved, Message: "it is on vm2 now; docker rm c0001",
	}}})
	for range 3 {
		m.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "lan"})
	}
	const what = "container has moved to another node, and gets no NIC here any more"
	for late := time.Now().Add(time.Minute); !strings.Contains(m.log.String(), what); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("the log says\n%s", m.log)
		}
	}
	m.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "lan"})
	w := onLAN("nic-0000000000000001", mac(t), 2) // something to wait for
	w.Gone = true
	m.Want(w)
	m.Await(t, w, nic.ObservedClean)
	if log := m.log.String(); strings.Count(log, what) != 1 || !strings.Contains(log, "docker rm c0001") || !strings.Contains(log, "reason=Moved") {
		t.Errorf("the log says\n%s", fmt.Sprint(log))
	}
}
