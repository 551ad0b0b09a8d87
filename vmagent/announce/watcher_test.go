package announce

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func count(kinds []string, what string) (n int) {
	for _, k := range kinds {
		if strings.HasPrefix(k, what) {
			n++
		}
	}
	return n
}

// RFC 5227: the address is not on the NIC before, the waits are the RFC's, and
// nobody is told or asked before it is sure.
func TestStrictTiming(t *testing.T) {
	for range 20 { // the waits are random
		synctest.Test(t, func(t *testing.T) {
			l := newLAN()
			l.hosts[gw4] = gwMAC
			h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}, Gateways: []netip.Addr{gw4}, Mode: nic.ProbeStrict})
			if s := h.State(); s.Checked() || len(s.Usable(h.addrs)) != 0 {
				t.Errorf("usable at once: %+v", s)
			}
			for h.after(time.Millisecond); !h.State().Checked(); h.after(time.Millisecond) {
			}
			checked := time.Since(h.start)
			h.after(20 * time.Second)
			kinds, at := h.log()
			want := []string{"probe 10.0.0.5", "probe 10.0.0.5", "probe 10.0.0.5", "ask 10.0.0.1", "tell 10.0.0.5", "tell 10.0.0.5", "tell 10.0.0.5"}
			slices.Sort(kinds[min(3, len(kinds)):]) // which of request and notice comes first is no matter
			if !slices.Equal(kinds, want) {
				t.Fatalf("sent %q, want %q", kinds, want)
			}
			within(t, "first probe", at[0], 0, time.Second)
			within(t, "second probe", at[1]-at[0], time.Second, 2*time.Second)
			within(t, "third probe", at[2]-at[1], time.Second, 2*time.Second)
			within(t, "checked", checked-at[2], 2*time.Second, 2*time.Second+2*time.Millisecond)
			within(t, "gateway asked and announced", at[3]-at[2], 2*time.Second, 2*time.Second+10*time.Millisecond)
			within(t, "second notice", at[5]-at[4], 50*time.Millisecond, 51*time.Millisecond)
			within(t, "third notice", at[6]-at[4], time.Second, time.Second+time.Millisecond)
		})
	}
}

// L12: no gateway is asked for while any address is not yet known to be ours.
func TestGatewayComesLast(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			l := newLAN()
			l.hosts[gw4] = gwMAC
			h := l.watch(t, Options{
				Addrs:    []netip.Prefix{addr4, netip.MustParsePrefix("10.0.0.6/24"), netip.MustParsePrefix("10.0.0.7/24")},
				Gateways: []netip.Addr{gw4}, Mode: nic.ProbeStrict,
			})
			h.after(time.Minute)
			kinds, at := h.log()
			asked, probed := slices.Index(kinds, "ask 10.0.0.1"), 0
			for i, k := range kinds {
				if strings.HasPrefix(k, "probe") {
					probed = i
				}
			}
			if asked < probed || at[asked]-at[probed] < 2*time.Second {
				t.Errorf("asked for the gateway at %s, last probe at %s", at[asked], at[probed])
			}
		})
	}
}

func within(t *testing.T, what string, d, lo, hi time.Duration) {
	t.Helper()
	if d < lo || d > hi {
		t.Errorf("%s after %s, want %s to %s", what, d, lo, hi)
	}
}

// The address is live at once, and when all is said nothing is open.
func TestOptimisticThenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.hosts[gw4], l.hosts[gw6] = gwMAC, gwMAC
		h := l.watch(t, Options{
			Addrs: []netip.Prefix{addr4, addr6}, Gateways: []netip.Addr{gw4, gw6}, Replies: true,
		})
		if s := h.State(); !s.Checked() || len(s.Usable(h.addrs)) != 2 {
			t.Errorf("not usable at once: %+v", s)
		}
		if s := h.after(time.Minute); len(s.Conditions()) != 0 || h.wakes != 0 {
			t.Errorf("state %+v after %d wakes, want nothing", s, h.wakes)
		}
		kinds, at := h.log()
		for what, want := range map[string]int{
			"probe 10.0.0.5": 3, "probe 2001": 0, "ask 10.0.0.1": 1, "ask fe80::1": 1, "tell 10.0.0.5": 6, "tell 2001:db8::5": 3,
		} {
			if got := count(kinds, what); got != want {
				t.Errorf("%d times %q, want %d: %q", got, what, want, kinds)
			}
		}
		within(t, "first notice", at[slices.Index(kinds, "tell 10.0.0.5")], 400*time.Millisecond, 410*time.Millisecond)
		now, ever := l.wiresOpen()
		if now != 0 || ever > 2 {
			t.Errorf("%d wires open, %d ever, want none of at most two", now, ever)
		}
		l.put(h.addrs)
		h.Applied()
		h.after(time.Hour)
		if after, _ := h.log(); len(after) != len(kinds) {
			t.Errorf("sent while idle: %q", after[len(kinds):])
		}
		if _, again := l.wiresOpen(); again != ever {
			t.Errorf("a wire was opened while idle")
		}
	})
}

// F63: somebody else has the address. It is withdrawn, probed again ever more
// seldom, and comes back when the other is gone.
func TestF63_ConflictWithdraws(t *testing.T) {
	for _, mode := range []nic.Probe{nic.ProbeOptimistic, nic.ProbeStrict} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLAN()
				l.hosts[addr4.Addr()], l.hosts[gw4] = otherMAC, gwMAC
				h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}, Gateways: []netip.Addr{gw4}, Mode: mode})
				s := h.after(2 * time.Second)
				c, taken := s.Conflicts[addr4.Addr()]
				if !taken || c.MAC != otherMAC || len(s.Usable(h.addrs)) != 0 || !s.Checked() {
					t.Fatalf("state %+v, want a conflict with %s", s, otherMAC)
				}
				within(t, "next probe", c.Again.Sub(c.Since), 10*time.Second, 20*time.Second)
				first := c.Since
				for range 8 {
					time.Sleep(time.Until(c.Again) + 2*time.Second)
					synctest.Wait()
					c = h.State().Conflicts[addr4.Addr()]
				}
				if !c.Since.Equal(first) || time.Until(c.Again) < 140*time.Second || time.Until(c.Again) > 5*time.Minute {
					t.Errorf("after many probes: %+v, next in %s", c, time.Until(c.Again))
				}
				if kinds, _ := h.log(); count(kinds, "tell")+count(kinds, "ask") != 0 {
					t.Errorf("told or asked with an address of somebody else's: %q", kinds)
				}
				l.set(func() { delete(l.hosts, addr4.Addr()) })
				s = h.after(5*time.Minute + 30*time.Second)
				if len(s.Conflicts) != 0 || len(s.Usable(h.addrs)) != 1 {
					t.Errorf("state %+v, want the address back", s)
				}
				if kinds, _ := h.log(); count(kinds, "tell") != 3 || count(kinds, "ask") != 1 {
					t.Errorf("not told and asked then: %q", kinds)
				}
			})
		})
	}
}

// What is heard while an address is probed, and whether it is a conflict.
func TestWhatIsAConflict(t *testing.T) {
	own := addr4.Addr()
	announce, _ := noticeFrame(otherMAC, own)
	proxy, _ := arpFrame(arp.OperationReply, gwMAC, own, ourMAC, netip.IPv4Unspecified())
	alsoProbes, _ := probeFrame(otherMAC, own)
	asks, _ := requestFrame(otherMAC, netip.MustParseAddr("10.0.0.9"), own)
	ours, _ := noticeFrame(ourMAC, own)
	late, _ := requestFrame(otherMAC, own, netip.MustParseAddr("10.0.0.9"))
	for _, test := range []struct {
		name  string
		mode  nic.Probe
		frame []byte
		after time.Duration
		want  nic.MAC
	}{
		{"announcement", nic.ProbeOptimistic, announce, 0, otherMAC},
		{"proxy", nic.ProbeOptimistic, proxy, 0, gwMAC},
		{"request from it, late", nic.ProbeOptimistic, late, 3 * time.Second, otherMAC},
		{"too late", nic.ProbeOptimistic, late, 30 * time.Second, nic.MAC{}},
		{"probe while it is live", nic.ProbeOptimistic, alsoProbes, 0, nic.MAC{}},
		{"probe while we probe", nic.ProbeStrict, alsoProbes, 1200 * time.Millisecond, otherMAC},
		{"request for it", nic.ProbeStrict, asks, 1200 * time.Millisecond, nic.MAC{}},
		{"our own", nic.ProbeStrict, ours, 1200 * time.Millisecond, nic.MAC{}},
		{"off", nic.ProbeOff, announce, 0, nic.MAC{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLAN()
				h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}, Mode: test.mode})
				h.after(test.after + time.Millisecond)
				l.say(test.frame)
				if got := h.after(time.Millisecond).Conflicts[own].MAC; got != test.want {
					t.Errorf("conflict with %q, want %q", got, test.want)
				}
			})
		})
	}
}

// An address that comes back is announced again, when it is on the NIC again.
func TestAnnouncedAgainAfterConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}})
		h.after(3 * time.Second)
		l.say(must(noticeFrame(otherMAC, addr4.Addr())))
		if s := h.after(time.Second); len(s.Conflicts) != 1 {
			t.Errorf("state %+v, want a conflict", s)
		}
		h.after(time.Minute)
		if kinds, _ := h.log(); count(kinds, "tell") != 6 {
			t.Errorf("sent %q, want six notices", kinds)
		}
	})
}

func TestOwnFramesComeBack(t *testing.T) {
	for _, mode := range []nic.Probe{nic.ProbeOptimistic, nic.ProbeStrict} {
		synctest.Test(t, func(t *testing.T) {
			l := newLAN()
			l.reflects = true
			h := l.watch(t, Options{Addrs: []netip.Prefix{addr4, addr6}, Mode: mode})
			if s := h.after(time.Minute); len(s.Conflicts) != 0 || !s.Checked() {
				t.Errorf("%s: %+v", mode, s)
			}
		})
	}
}

// L32: silent means no announcement, and with probes off nothing at all.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}, Mode: nic.ProbeOff, Silent: true})
		h.after(time.Hour)
		if kinds, _ := h.log(); len(kinds) != 0 {
			t.Errorf("sent %q", kinds)
		}
		if _, ever := l.wiresOpen(); ever != 0 {
			t.Errorf("%d wires opened for nothing", ever)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.hosts[gw4] = gwMAC
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4, addr6}, Gateways: []netip.Addr{gw4}, Silent: true})
		h.after(time.Hour)
		if kinds, _ := h.log(); count(kinds, "probe") != 3 || count(kinds, "ask") != 1 || len(kinds) != 4 {
			t.Errorf("sent %q, want probes and a request", kinds)
		}
	})
}

func TestGatewayMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.hosts[gw6] = gwMAC
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4, addr6}, Gateways: []netip.Addr{gw4, gw6}})
		s := h.after(5 * time.Second)
		if !slices.Equal(s.GatewaysMissing, []netip.Addr{gw4}) || len(s.Usable(h.addrs)) != 2 {
			t.Errorf("state %+v, want %s missing and all addresses usable", s, gw4)
		}
		if s = h.after(time.Hour); s.MissingSince.Sub(h.start) > 5*time.Second || len(s.GatewaysMissing) != 1 {
			t.Errorf("state %+v after an hour", s)
		}
		if kinds, _ := h.log(); count(kinds, "ask 10.0.0.1") > 3*30 {
			t.Errorf("asked %d times in an hour", count(kinds, "ask 10.0.0.1"))
		}
		l.set(func() { l.hosts[gw4] = gwMAC })
		if s = h.after(6 * time.Minute); len(s.Conditions()) != 0 {
			t.Errorf("state %+v, want nothing", s)
		}
	})
}

// IPv6: the kernel checks, the watcher tells and finds out who it was.
func TestF63_IPv6Duplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.hosts[addr6.Addr()] = otherMAC
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr6}})
		s := h.after(1500 * time.Millisecond)
		if c, taken := s.Conflicts[addr6.Addr()]; !taken || c.MAC != otherMAC {
			t.Fatalf("state %+v, want a conflict with %s", s, otherMAC)
		}
		if s = h.after(time.Hour); len(s.Conflicts) != 1 {
			t.Errorf("state %+v after an hour", s)
		}
		l.set(func() { delete(l.hosts, addr6.Addr()) })
		s = h.after(6 * time.Minute)
		if kinds, _ := h.log(); len(s.Conflicts) != 0 || count(kinds, "tell") != 3 {
			t.Errorf("state %+v, sent %q", s, kinds[len(kinds)-3:])
		}
	})
}

// An agent that has just started takes no address off a container's NIC.
func TestF50_StrictAdoptsWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.sight.Addrs = []link.Addr{{Prefix: addr4, Global: true}}
		more := netip.MustParsePrefix("10.0.0.6/24")
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4, more}, Mode: nic.ProbeStrict})
		if s := h.State(); !slices.Equal(s.Usable(h.addrs), []netip.Prefix{addr4}) {
			t.Errorf("state %+v, want %s alone usable", s, addr4)
		}
		if s := h.after(time.Minute); !s.Checked() {
			t.Errorf("state %+v", s)
		}
		if kinds, _ := h.log(); count(kinds, "probe 10.0.0.5") != 3 || count(kinds, "probe 10.0.0.6") != 3 {
			t.Errorf("sent %q", kinds)
		}
	})
}

func TestEarlierConflictsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.hosts[addr4.Addr()] = otherMAC
		o := Options{Addrs: []netip.Prefix{addr4}}
		first := l.watch(t, o)
		o.Earlier = first.after(time.Second)
		if err := first.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.Addrs = append(o.Addrs, addr6)
		h := l.watch(t, o)
		if s := h.State(); s.Conflicts[addr4.Addr()] != o.Earlier.Conflicts[addr4.Addr()] || len(s.Usable(o.Addrs)) != 1 {
			t.Errorf("state %+v at the start", s)
		}
		l.set(func() { delete(l.hosts, addr4.Addr()) })
		if s := h.after(time.Minute); len(s.Conflicts) != 0 {
			t.Errorf("state %+v in the end", s)
		}
	})
}

// A wire that breaks is opened again, and silence meanwhile proves nothing.
func TestBrokenWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.hosts[addr4.Addr()] = otherMAC
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}, Mode: nic.ProbeStrict})
		l.set(func() { l.broken = errors.New("network is down") })
		s := h.after(time.Hour)
		if s.Err == nil || s.Checked() || !strings.Contains(s.Conditions()[0].Message, "network is down") {
			t.Errorf("state %+v, want the trouble and no address", s)
		}
		if h.wakes > 1 {
			t.Errorf("%d wakes for one trouble", h.wakes)
		}
		l.set(func() { l.broken = nil })
		if s = h.after(2 * time.Minute); s.Err != nil || s.Conflicts[addr4.Addr()].MAC != otherMAC {
			t.Errorf("state %+v, want a conflict", s)
		}
	})
}

func TestNoCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.sight.Running = false
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}})
		h.after(time.Second)
		if kinds, _ := h.log(); len(kinds) != 0 {
			t.Errorf("sent %q into nothing", kinds)
		}
		l.set(func() { l.sight.Running = true })
		h.after(10 * time.Second)
		if kinds, at := h.log(); len(kinds) != 6 || at[0] > 1100*time.Millisecond {
			t.Errorf("sent %q at %s", kinds, at)
		}
	})
}

func TestStopAnyTime(t *testing.T) {
	for _, at := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			h := newLAN().watch(t, Options{Addrs: []netip.Prefix{addr4, addr6}, Gateways: []netip.Addr{gw4}})
			time.Sleep(at)
			stopped := time.Now()
			if err := h.Stop(t.Context()); err != nil || time.Since(stopped) != 0 {
				t.Errorf("stopped after %s in %s: %v", at, time.Since(stopped), err)
			}
		})
	}
}

// The attach does not wait for anything of ours.
func TestOptimisticDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		w, err := Start(Options{MAC: ourMAC, Addrs: []netip.Prefix{addr4}, Open: func() (Wire, error) {
			<-stuck
			return nil, errors.New("too late")
		}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := w.State().Usable([]netip.Prefix{addr4}); len(got) != 1 {
			t.Errorf("usable are %v", got)
		}
		w.Applied()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped with %v while the kernel does not come back", err)
		}
		close(stuck)
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// F61: an address that comes from another place is announced at once and twice
// more, while it is still probed. One that was not ours is not, nor one that the
// rules of the strict mode are for; and another holder ends it.
func TestF61_WhatIsOursIsAnnouncedAtOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		mode  nic.Probe
		ours  []netip.Addr
		first time.Duration // until the first notice
	}{
		{"ours", nic.ProbeOptimistic, []netip.Addr{addr4.Addr()}, 0},
		{"not ours", nic.ProbeOptimistic, nil, 300 * time.Millisecond},
		{"strict", nic.ProbeStrict, []netip.Addr{addr4.Addr()}, 4 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLAN()
				h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}, Mode: test.mode, Ours: test.ours})
				h.after(time.Minute)
				kinds, at := h.log()
				var told []time.Duration
				for i, kind := range kinds {
					if strings.HasPrefix(kind, "tell") {
						told = append(told, at[i])
					}
				}
				if len(told) != 3 || told[0] < test.first || test.first == 0 && told[0] != 0 || told[2]-told[0] != time.Second || count(kinds, "probe") != 3 {
					t.Errorf("announced at %s, and sent %q", told, kinds)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		l.hosts[addr4.Addr()] = otherMAC
		h := l.watch(t, Options{Addrs: []netip.Prefix{addr4}, Ours: []netip.Addr{addr4.Addr()}})
		if s := h.after(5 * time.Second); s.Conflicts[addr4.Addr()].MAC != otherMAC {
			t.Errorf("state %+v, want a conflict", s)
		}
		if kinds, _ := h.log(); count(kinds, "tell") > 1 {
			t.Errorf("sent %q", kinds)
		}
	})
}
