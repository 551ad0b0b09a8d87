package sriov_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// told is a node's cards as the controller hears of them.
func told(pfs []sriov.PF) []sriov.PF { return sriov.PFs(sriov.Cards(pfs, nil)) }

func TestACardIsToldAndHeardAsItIs(t *testing.T) {
	mac := nic.NewMAC()
	has := []sriov.PF{
		{
			Address: "0000:03:00.0", Name: "ens1f0", MAC: mac, NUMA: 1, Link: sriov.Link{Up: true, Carrier: true},
			VFs: []sriov.VF{
				{Address: "0000:03:10.0", Index: 0, Name: "eth7", Use: sriov.Use{How: sriov.Free}},
				{Address: "0000:03:10.2", Index: 1, Use: sriov.Use{How: sriov.UserSpace, By: "process 7 (qemu)"}},
			},
		},
		{Address: "0000:03:00.1", NUMA: sriov.None, Master: "bond0"},
	}
	cards := sriov.Cards(has, map[sriov.Address]string{"0000:03:10.2": "VF1_2"})
	if cards[0].VFs[1].Name != "VF1_2" || cards[0].MAC != mac || cards[0].Name != "ens1f0" {
		t.Errorf("told as %+v", cards)
	}
	got := sriov.PFs(cards)
	if len(got) != 2 || got[0].NUMA != 1 || got[1].NUMA != sriov.None || got[0].MAC != mac || !got[0].Link.Carrier || got[1].Link.Carrier || got[0].NumVFs != 2 || got[0].Master != "" || got[1].Master != "bond0" {
		t.Fatalf("heard as %+v", got)
	}
	for i, vf := range got[0].VFs {
		if was := has[0].VFs[i]; vf.Address != was.Address || vf.Use != was.Use || vf.Index != i || vf.PF != has[0].Address {
			t.Errorf("VF %d is heard as %+v", i, vf)
		}
	}
}

// TestPickIsTheSameOfWhatIsTold: what is left out of a card decides nothing.
func TestPickIsTheSameOfWhatIsTold(t *testing.T) {
	pf := func(address sriov.Address, numa int, carrier bool) sriov.PF {
		p := sriov.PF{Address: address, Name: "p" + string(address[len(address)-1]), NUMA: numa, Link: sriov.Link{Up: true, Carrier: carrier}}
		for i := range 4 {
			how := sriov.Free
			if i == 0 {
				how = sriov.Elsewhere
			}
			p.VFs = append(p.VFs, sriov.VF{PF: address, Index: i, Address: sriov.Address(fmt.Sprintf("%s:10.%d", address[:7], i)), NUMA: numa, Use: sriov.Use{How: how}})
		}
		return p
	}
	has := []sriov.PF{pf("0000:03:00.0", 0, true), pf("0000:04:00.1", 1, true), pf("0000:05:00.2", 1, false)}
	every := []sriov.Selector{{PF: "p*"}}
	for numa := -1; numa < 2; numa++ {
		for sides := 1; sides < 3; sides++ {
			ask := sriov.Request{Sides: slices.Repeat([][]sriov.Selector{every}, sides), NUMA: numa}
			want, err := sriov.Pick(has, ask)
			if err != nil {
				t.Fatal(err)
			}
			got, err := sriov.Pick(told(has), ask)
			same := slices.EqualFunc(got, want, func(a, b sriov.VF) bool { return a.Address == b.Address })
			if err != nil || !same {
				t.Errorf("NUMA %d, %d sides: picked %v, %v; want %v", numa, sides, got, err, want)
			}
		}
	}
}

func TestF40_WhatIsNoAddressIsNotHeard(t *testing.T) {
	got := sriov.PFs([]nic.Card{
		{PCI: "../../etc", VFs: []nic.CardVF{{PCI: "0000:03:10.0", Used: "free"}}},
		{PCI: "0000:03:00.0", VFs: []nic.CardVF{
			{PCI: "0000:03:10.0/../x", Used: "free"},
			{PCI: "0000:03:10.1", Index: -1, Used: "free"},
			{PCI: "0000:03:10.2", Index: 1 << 20, Used: "free"},
			{PCI: "0000:03:10.3", Index: 3, Used: "a word of tomorrow"},
		}},
	})
	if len(got) != 1 || len(got[0].VFs) != 1 {
		t.Fatalf("heard as %+v", got)
	}
	if vf := got[0].VFs[0]; vf.Index != 3 || !vf.Use.Busy() {
		t.Errorf("a VF that is used in a way that we do not know is heard as %+v", vf)
	}
}

func TestNoMoreIsToldThanMayBe(t *testing.T) {
	many := make([]sriov.PF, 70)
	for i := range many {
		many[i] = sriov.PF{Address: sriov.Address(fmt.Sprintf("0000:%02x:00.0", i))}
	}
	many[0].VFs = make([]sriov.VF, 2000)
	cards := sriov.Cards(many, nil)
	if len(cards) != 64 || len(cards[0].VFs) != 1024 {
		t.Errorf("%d cards are told, and %d VFs of the first", len(cards), len(cards[0].VFs))
	}
}
