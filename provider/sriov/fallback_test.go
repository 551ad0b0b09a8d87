package sriov_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// falling is a spec of a network that shares a card without VFs to give.
func falling(network string, kinds ...nic.DeviceKind) nic.Spec {
	spec := ask(nic.Functions{PFs: [][]string{{"ens1f0"}}, Fallback: kinds})
	spec.Network = network
	return spec
}

// A card has macvlans or ipvlans: who would be the second kind is told whose the first
// is, gets the other kind if its network takes that, another card if it may have that,
// and its own once the last of the first is gone. All controllers see it.
func TestACardCarriesOneKindOfLink(t *testing.T) {
	w := newWorld(0)
	p := w.controller()
	first := w.place(t, p, falling("dmz", nic.Macvlan), alpha) // created by nobody yet
	for name, p := range map[string]interface {
		provider.Placer
		provider.Fitter
	}{"here": p, "another controller": w.controller()} {
		_, err := p.Place(t.Context(), falling("lab", nic.Ipvlan), w.node(alpha))
		for _, want := range []string{"no VF is free", "no ipvlan can be on ens1f0, which carries macvlans of network dmz (" + string(first.NIC) + ")", "one kind of fallback"} {
			if !errors.Is(err, provider.ErrExhausted) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, an ipvlan beside a macvlan: %v; want %q", name, err, want)
			}
		}
		if err := p.Fits(t.Context(), falling("lab", nic.Ipvlan), w.node(alpha)); !errors.Is(err, provider.ErrExhausted) {
			t.Errorf("%s, an ipvlan fits beside a macvlan: %v", name, err)
		}
	}
	either := w.plug(t, p, falling("lab", nic.Ipvlan, nic.Macvlan), alpha)
	if either.Device.Kind != nic.Macvlan {
		t.Errorf("who takes either is given %+v; want what the card has", either.Device)
	}
	spec := falling("lab", nic.Ipvlan)
	spec.Functions.PFs = [][]string{{"ens*"}}
	if d := w.place(t, p, spec, alpha).Device; d.Kind != nic.Ipvlan || d.Parent != "ens2f0" || d.MAC != w.cards[1].MAC {
		t.Errorf("who may have another card is given %+v", d)
	}
	if d := w.place(t, p, falling("lab", nic.Ipvlan), beta).Device; d.Kind != nic.Ipvlan {
		t.Errorf("on another node is given %+v", d)
	}
	if err := p.Delete(t.Context(), first.NIC); !errors.Is(err, provider.ErrNotFound) {
		t.Error(err)
	}
	w.unplug(t, w.controller(), either.NIC, alpha) // which has not placed it
	last := w.plug(t, p, falling("lab", nic.Ipvlan), alpha)
	if last.Device.Kind != nic.Ipvlan || last.Device.Parent != "ens1f0" {
		t.Errorf("with the macvlans gone is given %+v", last.Device)
	}
	if _, err := p.Place(t.Context(), falling("dmz", nic.Macvlan), w.node(alpha)); !errors.Is(err, provider.ErrExhausted) {
		t.Errorf("a macvlan beside an ipvlan: %v", err)
	}
}

// What was placed and never made keeps a card from the other kind for a while alone;
// if it comes after all, it is refused where the card has become another's.
func TestALinkThatNeverCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0)
		late := w.place(t, w.controller(), falling("dmz", nic.Macvlan), alpha)
		time.Sleep(time.Hour)
		p := w.controller()
		placed := w.plug(t, p, falling("lab", nic.Ipvlan), alpha)
		if placed.Device.Kind != nic.Ipvlan {
			t.Errorf("is given %+v", placed.Device)
		}
		if _, err := p.Create(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Attach(t.Context(), late.NIC, alpha); !errors.Is(err, provider.ErrExhausted) || !strings.Contains(err.Error(), "carries ipvlans of network lab") {
			t.Errorf("a macvlan that comes late: %v", err)
		}
		if err := p.Delete(t.Context(), late.NIC); err != nil {
			t.Error(err)
		}
		w.unplug(t, p, placed.NIC, alpha)
		if left := w.ledger.Records(); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}
