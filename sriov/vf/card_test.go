//go:build linux

package vf_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
)

// TestF31_F38_ACard is for a machine that has a card with VFs, on a wire with a peer:
// NICFERRY_CARD is the PF's PCI address, and NICFERRY_PEER an interface that hears
// what leaves. Suite sriov has one, an igb. Without a card the room says so in words.
func TestF31_F38_ACard(t *testing.T) {
	pf := os.Getenv("NICFERRY_CARD")
	if pf == "" {
		withoutACard(t)
		return
	}
	here, err := netns.Current()
	must(t, err)
	defer here.Close()
	h, err := link.Open(here)
	must(t, err)
	defer h.Close()
	s, err := vf.New(vf.Options{Kernel: h, Bus: vf.Sysfs{}, Dir: t.TempDir(), Boot: boot})
	must(t, err)
	peer, err := h.ByName(os.Getenv("NICFERRY_PEER"))
	must(t, err)
	must(t, h.Set(peer, link.Change{Up: new(true)}))

	id := nic.NewID()
	v := nic.VF{PF: pf, Index: 1}
	v.PCI, err = vf.Sysfs{}.Function(pf, v.Index)
	must(t, err)
	v.Set = nic.VFSettings{MAC: nic.NewMAC(), SpoofCheck: new(true), Trust: new(false)}
	before, err := s.Read(t.Context(), v)
	must(t, err)
	t.Logf("VF 1 was %+v", before)
	v.Was, err = s.Take(t.Context(), id, v)
	must(t, err)
	start := time.Now()
	must(t, s.Apply(t.Context(), id, v))
	t.Logf("set in %s", time.Since(start))
	start = time.Now()
	rebound, err := s.Heed(t.Context(), id, v)
	must(t, err)
	t.Logf("driver bound anew: %t, in %s", rebound, time.Since(start))
	if again, err := s.Heed(t.Context(), id, v); again || err != nil {
		t.Errorf("once more: %t, %v", again, err)
	}
	frameLeaves(t, h, here, v, peer)
	refusals(t, s, id, v)

	// VLAN and trust, which are the PF's alone, and all back.
	v.Set.VLAN, v.Set.Trust = &nic.VFVLAN{ID: 100, QoS: 3}, new(true)
	must(t, s.Apply(t.Context(), id, v))
	now, err := s.Read(t.Context(), v)
	if err != nil || now.MAC != v.Set.MAC || !cmp.Equal(now.VLAN, v.Set.VLAN) || !*now.Trust || !*now.SpoofCheck {
		t.Errorf("read: %+v, %v", now, err)
	}
	for range 2 {
		must(t, s.Restore(t.Context(), id, v))
		after, err := s.Read(t.Context(), v)
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("set back (-before +after): %v\n%s", err, diff)
		}
	}
}

// frameLeaves: success only when a frame with the MAC is at the other end.
func frameLeaves(t *testing.T, h *link.Handle, here *netns.Namespace, v nic.VF, peer link.Link) {
	t.Helper()
	links, err := h.Links()
	must(t, err)
	for _, l := range links {
		if l.PCI != v.PCI {
			continue
		}
		must(t, h.Set(l, link.Change{Up: new(true)}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		must(t, vf.Leaves(ctx, vf.Port{Namespace: here, Index: l.Index}, v.Set.MAC, vf.Port{Namespace: here, Index: peer.Index}))
		t.Logf("a frame left with %s %s after the interface was set up", v.Set.MAC, time.Since(start))
		must(t, h.Set(l, link.Change{Up: new(false)}))
		return
	}
	t.Fatalf("VF %s has no interface", v.PCI)
}

// refusals: what this driver cannot do is told by name, and changes nothing.
func refusals(t *testing.T, s *vf.Setter, id nic.ID, v nic.VF) {
	t.Helper()
	before, err := s.Read(t.Context(), v)
	must(t, err)
	for field, set := range map[string]func(*nic.VFSettings){
		"link": func(s *nic.VFSettings) { s.Link = nic.VFLinkOff },
		"rate": func(s *nic.VFSettings) { s.Rate = &nic.VFRate{Max: 1 << 30} }, // no card is as fast
	} {
		asked := v
		set(&asked.Set)
		err := s.Apply(t.Context(), id, asked)
		var f *vf.FieldError
		if !errors.As(err, &f) || f.Field != field || f.Err == nil {
			t.Errorf("%s: got %v", field, err)
		}
		t.Logf("%v", err)
		after, err := s.Read(t.Context(), v)
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("after a refused %s (-before +after): %v\n%s", field, err, diff)
		}
	}
}

func withoutACard(t *testing.T) {
	t.Helper()
	h, err := link.Open(netnstest.New(t))
	must(t, err)
	defer h.Close()
	s, err := vf.New(vf.Options{Kernel: h, Bus: vf.Sysfs{Root: t.TempDir()}, Dir: t.TempDir(), Boot: boot})
	must(t, err)
	_, err = s.Take(t.Context(), nic.NewID(), nic.VF{PF: "0000:03:00.0", PCI: "0000:03:10.0"})
	if !errors.Is(err, vf.ErrNotFound) || !strings.Contains(err.Error(), "physical function 0000:03:00.0 has no interface in the host's namespace") {
		t.Errorf("got %v; want %v", err, vf.ErrNotFound)
	}
}
