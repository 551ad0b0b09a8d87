//go:build linux

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// Cards that could never be set, as on a kernel that does not say whose an interface is,
// are not offered, and the log says why once.
func TestCardsThatCannotBeSetAreNotTold(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	netnstest.Run(t, host, "ip", "link", "add", "ens1f0", "type", "bridge") // of which it says no PCI address
	var log bytes.Buffer
	look := settable(func() ([]nic.Card, error) {
		return []nic.Card{{PCI: "0000:03:00.0", Name: "ens1f0"}, {PCI: "0000:04:00.0"}, {PCI: "0000:05:00.0", Name: "gone"}}, nil
	}, linksOf(host), slog.New(slog.NewTextHandler(&log, nil)))
	for range 2 {
		cards, err := look()
		if err != nil || len(cards) != 2 || cards[0].PCI != "0000:04:00.0" || cards[1].PCI != "0000:05:00.0" {
			t.Errorf("told %+v, %v; want the two others", cards, err)
		}
	}
	if got := log.String(); strings.Count(got, "5.14") != 1 {
		t.Errorf("the log says %q", got)
	}
	for want, pci := range map[bool]string{true: "", false: "0000:03:00.0"} {
		if got := untold(nic.Card{Name: "ens1f0"}, []link.Link{{Name: "eth0", AltNames: []string{"ens1f0"}, PCI: pci}}); got != want {
			t.Errorf("a kernel that says %q: left out is %v", pci, got)
		}
	}
}

// A kernel is asked until it has said once which interface is a card's.
func TestAKernelThatTellsIsAskedOnce(t *testing.T) {
	t.Parallel()
	asked, has := 0, []link.Link{{Name: "lo", Loopback: true}}
	look := settable(func() ([]nic.Card, error) {
		return []nic.Card{{PCI: "0000:03:00.0", Name: "ens1f0"}, {PCI: "0000:04:00.0", Name: "ens2f0"}}, nil
	}, func() ([]link.Link, error) {
		asked++
		return has, nil
	}, slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		has         []link.Link
		told, asked int
	}{
		{has, 2, 1}, // of neither card: nobody knows yet
		{[]link.Link{{Name: "ens1f0"}}, 1, 2},
		{[]link.Link{{Name: "ens1f0", PCI: "0000:03:00.0"}}, 2, 3},
		{nil, 2, 3},
		{[]link.Link{{Name: "ens2f0"}}, 2, 3}, // somebody's bridge of a card's name
	} {
		has = step.has
		cards, err := look()
		if err != nil || len(cards) != step.told || asked != step.asked {
			t.Errorf("with %+v: %d cards told, %v, the kernel asked %d times; want %d and %d", step.has, len(cards), err, asked, step.told, step.asked)
		}
	}
}
