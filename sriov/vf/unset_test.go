//go:build linux

package vf_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/sriov/vf/vftest"
)

// byHand is what somebody sets of a VF beside us.
func byHand(t *testing.T, n *vftest.Node, v nic.VF) {
	t.Helper()
	pf, err := n.PF(1)
	must(t, err)
	must(t, n.SetVF(pf.Link, v.Index, link.VFChange{
		VLAN: &nic.VFVLAN{ID: 7}, Rate: &nic.VFRate{Max: 10}, Link: nic.VFLinkOff, SpoofCheck: new(false), Trust: new(true),
	}))
}

// What a network leaves unset is as it was before: found and mended when somebody sets it,
// and nothing of the last owner's, whose clean-up never came, goes to the next.
func TestF39_WhatIsLeftUnsetIsAsItWas(t *testing.T) {
	t.Parallel()
	n := oneCard(2, vftest.Driver{})
	last, next := nic.NewID(), nic.NewID()
	s := setter(t, n, t.TempDir(), func(o *vf.Options) { o.Gone = func(id nic.ID) bool { return id == last } })
	before := n.Settings()
	plain := n.VF("ens1", 1)
	plain.Set = nic.VFSettings{MAC: nic.NewMAC()}

	v := taken(t, s, last, plain)
	must(t, s.Apply(t.Context(), last, v))
	want := n.Settings()
	byHand(t, n, v)
	err := s.Differs(t.Context(), last, v)
	var fields []string
	for _, f := range vf.Told[*vf.FieldError](err) {
		fields = append(fields, f.Field)
	}
	if diff := cmp.Diff([]string{"VLAN", "rate", "spoof check", "link", "trust"}, fields); diff != "" {
		t.Errorf("told (-want +got): %s", diff)
	}
	must(t, s.Apply(t.Context(), last, v))
	same(t, "mended", want, n.Settings())

	v.Set.VLAN, v.Set.Rate, v.Set.Link = &nic.VFVLAN{ID: 100}, &nic.VFRate{Max: 10}, nic.VFLinkOff
	v.Set.SpoofCheck, v.Set.Trust = new(false), new(true)
	must(t, s.Apply(t.Context(), last, v))
	plain.Set.MAC = nic.NewMAC()
	w := taken(t, s, next, plain)
	must(t, s.Apply(t.Context(), next, w))
	inherits := before[w.PCI]
	inherits.MAC = w.Set.MAC
	if diff := cmp.Diff(inherits, n.Settings()[w.PCI]); diff != "" {
		t.Errorf("the next owner's (-want +got): %s", diff)
	}
	must(t, s.Restore(t.Context(), next, w))
	same(t, "set back", before, n.Settings())
}

// qede tells a link's speed as a rate. Nothing is refused for what nobody has asked for,
// and it is told at most once.
func TestARateThatNobodyHasSet(t *testing.T) {
	t.Parallel()
	n, s, id, v := applied(t, 2, vftest.Driver{}, 1)
	n.Link("ens1", 10000)
	must(t, s.Apply(t.Context(), id, v))
	wrote := n.Messages().Writes
	for _, speed := range []int{10000, 1000} {
		n.Link("ens1", speed)
		must(t, s.Differs(t.Context(), id, v))
		must(t, s.Apply(t.Context(), id, v))
	}
	if more := n.Messages().Writes - wrote; more != 0 {
		t.Errorf("%d messages for a rate that cannot be set back", more)
	}
	must(t, s.Restore(t.Context(), id, v))
}
