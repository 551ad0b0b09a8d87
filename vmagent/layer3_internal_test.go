//go:build linux

package vmagent

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/keyed"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/announce"
)

// A network may have its gateways left unasked.
func TestGatewaysAreAskedUnlessSwitchedOff(t *testing.T) {
	work := func(context.Context, string) (time.Duration, error) { return 0, nil }
	log := slog.New(slog.DiscardHandler)
	a := &Agent{opts: Options{Log: log}, lans: announce.NewListener(), queue: keyed.New(keyed.Options{Work: work, Workers: 1, Log: log})}
	gateways := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	w := nic.Wanted{NIC: nic.NewID(), Device: nic.Device{MAC: nic.NewMAC()}}
	for unchecked, asked := range map[bool][]netip.Addr{false: gateways, true: nil} {
		p := &plug{ns: netnstest.New(t), index: 1}
		if _, err := a.watch(p, w, nic.Layer3{Gateways: gateways, UncheckedGateway: unchecked}); err != nil {
			t.Fatal(err)
		}
		if want := (announce.Options{Open: func() (announce.Wire, error) { return nil, nil }, MAC: w.Device.MAC, Gateways: asked}); !p.watcher.Same(want) {
			t.Errorf("unchecked %t: asks not for %v", unchecked, asked)
		}
		if err := p.stopWatcher(); err != nil {
			t.Error(err)
		}
	}
}
