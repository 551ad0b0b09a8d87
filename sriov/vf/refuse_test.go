//go:build linux

package vf_test

import (
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

// Many drivers take no MAC away (bnx2x, qede, cxgb4). The VF is given back all the same,
// with a MAC that nobody else has.
func TestF31_AMACThatTheDriverDoesNotTakeAway(t *testing.T) {
	t.Parallel()
	n := oneCard(2, vftest.Driver{KeepsMAC: true})
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
	n = oneCard(2, vftest.Driver{KeepsMAC: true, Refuses: map[string]error{"rate": unix.EINVAL}})
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
	refuses := map[string]error{}
	n, s, id, v := applied(t, 2, vftest.Driver{Refuses: refuses}, 1)
	refuses["VLAN"], refuses["MAC"] = unix.EBUSY, unix.EBUSY
	must(t, s.Restore(t.Context(), id, v))
	delete(refuses, "VLAN")
	delete(refuses, "MAC")
	next := nic.NewID()
	must(t, s.Apply(t.Context(), next, taken(t, s, next, wanted(n.VF("ens1", 1)))))
}

// F40: what a driver does not set is told with what to write into the network. To leave a
// setting out does not help where its default is what the driver refuses.
func TestF40_ARefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	service := &nic.VFVLAN{ID: 100, Protocol: nic.VLAN8021AD}
	for _, c := range []struct {
		field string
		found link.VFChange // how it is before, and stays
		want  func(*nic.VFSettings)
		says  string
	}{
		{"spoof check", link.VFChange{SpoofCheck: new(false)}, nil, "; say spoofCheck: off in the network's sriov section, with which containers may send under any MAC, or take a card"},
		{"spoof check", link.VFChange{}, func(s *nic.VFSettings) { s.SpoofCheck = new(false) }, "; leave spoofCheck out of the network's sriov section, which is on, or"},
		{"trust", link.VFChange{Trust: new(true)}, nil, "; say trust: on in the network's sriov section, with which containers may change"},
		{"trust", link.VFChange{}, func(s *nic.VFSettings) { s.Trust = new(true) }, "; leave trust out of the network's sriov section, which is off, or"},
		{"VLAN", link.VFChange{}, nil, "; leave vlan out of the network's sriov section, for frames without a tag, or"},
		{"VLAN", link.VFChange{}, func(s *nic.VFSettings) { s.VLAN = service }, "; leave protocol out of the network's sriov section, which is 802.1Q, or"},
		{"VLAN", link.VFChange{VLAN: &nic.VFVLAN{ID: 9}}, func(s *nic.VFSettings) { s.VLAN = &nic.VFVLAN{} }, "; no network goes without it: take a card"},
		{"MAC", link.VFChange{}, nil, "; no network goes without it: take a card"},
		{"rate", link.VFChange{}, func(s *nic.VFSettings) { s.Rate = &nic.VFRate{Max: 9} }, "; leave rate out of the network's sriov section, or take a card whose driver has it"},
		{"link", link.VFChange{}, func(s *nic.VFSettings) { s.Link = nic.VFLinkOff }, "; leave link out of the network's sriov section, or take a card"},
	} {
		n, refuses := &vftest.Node{}, map[string]error{}
		n.Add("ens1", 3, 2, vftest.Driver{Refuses: refuses})
		pf, err := n.PF(1)
		must(t, err)
		must(t, n.SetVF(pf.Link, 1, c.found))
		s, id := setter(t, n, t.TempDir()), nic.NewID()
		v := wanted(n.VF("ens1", 1))
		if c.want != nil {
			c.want(&v.Set)
		}
		v = taken(t, s, id, v)
		refuses[c.field] = unix.EOPNOTSUPP
		if err := s.Apply(t.Context(), id, v); err == nil || !strings.Contains(err.Error(), "(set VF 1 of \"ens1\": operation not supported)"+c.says) {
			t.Errorf("%s: got %v; want in it %q", c.field, err, c.says)
		}
		fields := vf.Told[*vf.FieldError](s.Differs(t.Context(), id, v)) // which Apply puts right
		if len(fields) == 0 || fields[0].Remedy != "" {
			t.Errorf("%s: looked at, it says %v", c.field, fields)
		}
	}
}
