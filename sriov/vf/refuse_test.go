//go:build linux

package vf_test

import (
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

// Many drivers take no MAC away (bnx2x, qede, cxgb4). The VF is given back all the same,
// with a MAC that nobody else has.
func TestF31_AMACThatTheDriverDoesNotTakeAway(t *testing.T) {
	t.Parallel()
	n := &vftest.Node{}
	n.Add("ens1", 3, 2, vftest.Driver{KeepsMAC: true})
	var log strings.Builder
	s := setter(t, n, t.TempDir(), func(o *vf.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	id, before := nic.NewID(), n.Settings()
	v := taken(t, s, id, wanted(n.VF("ens1", 1)))
	must(t, s.Apply(t.Context(), id, v))
	for range 2 {
		must(t, s.Restore(t.Context(), id, v))
		now := n.Settings()
		fresh := now[v.PCI].MAC
		if fresh == v.Set.MAC || fresh.IsZero() {
			t.Errorf("given back with MAC %q; its owner's was %s", fresh, v.Set.MAC)
		}
		want := before[v.PCI]
		want.MAC = fresh
		before[v.PCI] = want
		same(t, "but for the MAC", before, now)
	}
	if !strings.Contains(log.String(), "VF is not set back in all") || !strings.Contains(log.String(), "nic="+string(id)) {
		t.Errorf("the log has no word of it:\n%s", log.String())
	}
	next := nic.NewID()
	w := taken(t, s, next, wanted(n.VF("ens1", 1)))
	must(t, s.Apply(t.Context(), next, w))

	// The same in the middle: a rate is refused, and all that was set goes back.
	n = &vftest.Node{}
	n.Add("ens1", 3, 2, vftest.Driver{KeepsMAC: true, Refuses: map[string]error{"rate": unix.EINVAL}})
	s = setter(t, n, t.TempDir())
	v = wanted(n.VF("ens1", 1))
	v.Set.Rate = &nic.VFRate{Max: 100}
	v = taken(t, s, id, v)
	err := s.Apply(t.Context(), id, v)
	if fields := vf.Told[*vf.FieldError](err); len(fields) != 1 || fields[0].Field != "rate" {
		t.Errorf("got %v; want a word on the rate alone", err)
	}
	if now := n.Settings()[v.PCI]; now.MAC == v.Set.MAC || now.VLAN.ID != 0 {
		t.Errorf("after a refusal it is set to %+v", now)
	}
}

// What a driver does not set back holds up nobody: the VF is free for the next one.
func TestF31_WhatTheDriverDoesNotSetBack(t *testing.T) {
	t.Parallel()
	n := &vftest.Node{}
	refuses := map[string]error{}
	n.Add("ens1", 3, 2, vftest.Driver{Refuses: refuses})
	s, id := setter(t, n, t.TempDir()), nic.NewID()
	v := taken(t, s, id, wanted(n.VF("ens1", 1)))
	must(t, s.Apply(t.Context(), id, v))
	refuses["VLAN"], refuses["MAC"] = unix.EBUSY, unix.EBUSY
	must(t, s.Restore(t.Context(), id, v))
	delete(refuses, "VLAN")
	delete(refuses, "MAC")
	next := nic.NewID()
	must(t, s.Apply(t.Context(), next, taken(t, s, next, wanted(n.VF("ens1", 1)))))
}
