//go:build linux

package vmagent_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// runWith starts container n, which is as c says beside, in a new namespace.
func (m *carded) runWith(n int, c containers.Container) *netns.Namespace {
	m.t.Helper()
	ns := m.engine.space(m.t)
	m.engine.change(id(n), func() {
		c.ID, c.Name, c.NetworkMode, c.Running, c.PID, c.StartedAt = id(n), "c"+id(n)[60:], "none", true, os.Getpid(), time.Now()
		m.engine.spaces[id(n)], m.engine.all[id(n)] = ns, c
	})
	return ns
}

// A NIC is reserved for a container that is about to be made: it is made ready, and its
// device told, with no container there. Then the container comes and has it.
func TestF31_AReservedVFInUserSpaceIsItsContainers(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	w.Device.VF.UserSpace = true
	w.Owner.Kind, w.Owner.Sandbox = nic.OwnerReservation, strings.Repeat("5", 64)
	m.Want(w)
	said := m.former(w)
	if said.Device != "" || m.cards.Set() != 0 {
		t.Errorf("before it is on record: %+v; %d are set", said, m.cards.Set())
	}
	w = recorded(w, said.Former)
	m.Want(w)
	said, _ = m.Await(t, w, nic.ObservedMade)
	if said.Device != "/dev/vfio/7" || !said.Unstarted || said.Running || len(said.Conditions) != 0 {
		t.Errorf("reserved: %+v; want its device, and no container", said)
	}
	m.stop()
	m.start() // nothing that the agent remembers is needed

	ns := m.runWith(1, containers.Container{Devices: []string{"/dev/vfio/7", "/dev/vfio/vfio"}})
	w.Owner.Kind, w.Owner.Sandbox = nic.OwnerContainer, id(1)
	w.Epoch++
	m.cards.Said()
	m.Want(w)
	said, _ = m.Await(t, w, nic.ObservedIn)
	if said.Device != "/dev/vfio/7" || !said.Running || len(said.Addrs) != 0 || len(said.Conditions) != 0 {
		t.Errorf("in its container: %+v; want its device", said)
	}
	if calls := m.cards.Said(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "restore") }) {
		t.Errorf("taken back on the way: %q", calls)
	}
	if got := m.addrs(ns); strings.Contains(got, "eth0") || !m.has("vf0") {
		t.Errorf("an interface was brought in:\n%s\nthe host has %v", got, m.links())
	}
	m.engine.change(id(1), func() { // it stops: what it is bound to stays, for its next start
		c := m.engine.all[id(1)]
		c.Running = false
		m.engine.all[id(1)] = c
	})
	said, _ = m.Await(t, w, nic.ObservedMade)
	if said.Running || m.cards.Set() != 1 {
		t.Errorf("stopped: %+v; %d are set", said, m.cards.Set())
	}
	m.givesBack(w)
	if m.cards.Set() != 0 {
		t.Errorf("given back: %d are set", m.cards.Set())
	}
}

// One whose container never comes is given back by the controller's word, with no
// engine to ask of it; until then the agent does not release its claim.
func TestAReservationThatEndsIsGivenBack(t *testing.T) {
	m := newCarded(t)
	w := onVF(1)
	w.Device.VF.UserSpace = true
	w.Owner.Kind, w.Owner.Sandbox = nic.OwnerReservation, strings.Repeat("5", 64)
	w = m.onRecord(w)
	m.Await(t, w, nic.ObservedMade)
	m.agentRuns(w)
	if released := m.Released(); len(released) > 0 {
		t.Errorf("the agent has released %v", released)
	}
	m.givesBack(w)
	if m.cards.Set() != 0 {
		t.Errorf("given back: %d are set", m.cards.Set())
	}
}

// After a boot Docker starts no container whose device is not there: the NIC of one that
// has ended is bound all the same, or it would never be started again.
func TestF31_AfterABootAStoppedContainersDeviceIsThere(t *testing.T) {
	boot := "b"
	m := newCarded(t, func(o *vmagent.Options) { o.Inventory.Boot = boot })
	w := onVF(1)
	w.Device.VF.UserSpace = true
	given := containers.Container{Devices: []string{"/dev/vfio/7"}}
	m.runWith(1, given)
	w, _ = m.brought(w)
	m.stop()
	boot, m.cards.Boot = "b2", "b2"
	m.engine.die(id(1))
	m.cards.Said()
	m.start()
	said := m.said(w, "what was before in this boot", func(o nic.Observed) bool { return len(o.Former) == 1 && o.Former[0].Boot == boot })
	w = recorded(w, said.Former)
	m.Want(w)
	said = m.said(w, "its device", func(o nic.Observed) bool { return o.State == nic.ObservedMade && o.Device != "" })
	if said.Device != "/dev/vfio/7" || said.Running || said.Unstarted || len(said.Conditions) != 0 {
		t.Errorf("stopped, after a boot: %+v; want its device", said)
	}
	if calls := m.cards.Said(); !slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "apply") }) {
		t.Errorf("nothing was bound: %q", calls)
	}
	m.runWith(1, given)
	m.Await(t, w, nic.ObservedIn)
}

// A container has its NIC only if Docker lets it open the device, which it was told of
// when it made the container: another one is another container's.
func TestAContainerHasItsVFInUserSpaceOnlyIfItMayOpenIt(t *testing.T) {
	for _, c := range []struct {
		name, says string
		with       containers.Container
		has        bool
	}{
		{"its device", "", containers.Container{Devices: []string{"/dev/vfio/vfio", "/dev/vfio/7"}}, true},
		{"all devices", "", containers.Container{Privileged: true}, true},
		{"the directory", "", containers.Container{Devices: []string{"/dev/vfio/"}}, true},
		{"another's", "with /dev/vfio/70, which may be another container's", containers.Container{Devices: []string{"/dev/vfio/vfio", "/dev/vfio/70"}}, false},
		{"none", "with no device of /dev/vfio", containers.Container{Devices: []string{"/dev/fuse"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newCarded(t)
			w := onVF(1)
			w.Device.VF.UserSpace = true
			m.runWith(1, c.with)
			if c.has {
				m.brought(w)
				return
			}
			w = m.onRecord(w)
			told := func(o nic.Observed) bool { return o.State == nic.ObservedIn || len(o.Conditions) > 0 && o.Device != "" }
			for _, running := range []bool{true, false} {
				said := m.said(w, "a word on its device", func(o nic.Observed) bool { return o.Running == running && told(o) })
				why, refused := reasonOf(said, nic.ReasonDeviceNotGiven)
				if said.State != nic.ObservedMade || !refused || !strings.Contains(why.Message, c.says) || !strings.Contains(why.Message, "nicferry run") {
					t.Errorf("running %t: %+v; want it refused %q", running, said, c.says)
				}
				if running {
					m.engine.die(id(1))
				}
			}
		})
	}
}
