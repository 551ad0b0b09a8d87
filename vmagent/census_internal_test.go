//go:build linux

package vmagent

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// atWork are orders of which one is carried out while the test says so.
type atWork struct {
	noOrders
	busy atomic.Bool
}

func (o *atWork) Busy() bool { return o.busy.Load() }

// A census keeps out of the way of what moves, and comes in time for who waits for it.
func TestACensusWaitsWhileSomethingMoves(t *testing.T) {
	host := netnstest.New(t)
	moving := []nic.Wanted{{NIC: "nic-0000000000000001", Last: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}}
	for _, test := range []struct {
		name         string
		orders, nics time.Duration // for how long they are at work; -1 for ever
		asked        time.Duration // how often it is asked for anew
		want         time.Duration
	}{
		{"nothing", 0, 0, 0, censusLook},
		{"an order", 2 * time.Second, 0, 0, 3 * time.Second},
		{"a NIC", 0, 2 * time.Second, 0, 3 * time.Second},
		{"for long", -1, 0, 0, censusPatience},
		{"for ever", 0, -1, time.Second, censusLast},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &atWork{}
				a, err := New(Options{
					Node: "n1", Controller: &far{}, Engine: bare{}, Host: host, RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
					Superseded: func(err error) bool { return errors.Is(err, errStale) }, Orders: o,
				})
				if err != nil {
					t.Fatal(err)
				}
				during := func(d time.Duration, set, unset func()) {
					if d == 0 {
						return
					}
					set()
					if d > 0 {
						time.AfterFunc(d, unset)
					}
				}
				during(test.orders, func() { o.busy.Store(true) }, func() { o.busy.Store(false) })
				during(test.nics, func() { a.wishes.replace(moving) }, func() { a.wishes.replace(nil) })
				begin := time.Now()
				a.censuses.ask(1)
				if test.asked > 0 {
					again := time.NewTicker(test.asked)
					defer again.Stop()
					go func() {
						for range 20 {
							select {
							case <-again.C:
								a.censuses.ask(2)
							case <-t.Context().Done():
								return
							}
						}
					}()
				}
				if err := a.awaitRest(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); (took - test.want).Abs() > 2*censusLook {
					t.Errorf("it waited for %v, want %v", took, test.want)
				}
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
