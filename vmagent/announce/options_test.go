package announce

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

func options() Options {
	return Options{
		Open: newLAN().open, MAC: ourMAC, Addrs: []netip.Prefix{addr4, addr6}, Gateways: []netip.Addr{gw4, gw6},
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"no wire":           func(o *Options) { o.Open = nil },
		"no MAC":            func(o *Options) { o.MAC = nic.MAC{} },
		"unknown mode":      func(o *Options) { o.Mode = "maybe" },
		"no address":        func(o *Options) { o.Addrs = []netip.Prefix{{}} },
		"any address":       func(o *Options) { o.Addrs = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} },
		"mapped address":    func(o *Options) { o.Addrs = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.5/120")} },
		"multicast gateway": func(o *Options) { o.Gateways = []netip.Addr{netip.MustParseAddr("ff02::1")} },
		"zoned gateway":     func(o *Options) { o.Gateways = []netip.Addr{netip.MustParseAddr("fe80::1%eth0")} },
		"wire does not open": func(o *Options) {
			o.Mode = nic.ProbeStrict
			o.Open = func() (Wire, error) { return nil, errors.New("no such device") }
		},
	} {
		o := options()
		spoil(&o)
		if w, err := Start(o); err == nil {
			t.Errorf("%s: started", name)
			_ = w.Stop(t.Context())
		}
	}
}

func TestSame(t *testing.T) {
	o := options()
	w, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop(t.Context())
	turned := options()
	slices.Reverse(turned.Addrs)
	turned.Mode = nic.ProbeOptimistic
	if !w.Same(o) || !w.Same(turned) {
		t.Error("not the same as itself")
	}
	for name, change := range map[string]func(*Options){
		"MAC":      func(o *Options) { o.MAC = otherMAC },
		"address":  func(o *Options) { o.Addrs = o.Addrs[:1] },
		"gateway":  func(o *Options) { o.Gateways = nil },
		"mode":     func(o *Options) { o.Mode = nic.ProbeOff },
		"silence":  func(o *Options) { o.Silent = true },
		"replies":  func(o *Options) { o.Replies = true },
		"timing":   func(o *Options) { o.Timing = &Timing{} },
		"nonsense": func(o *Options) { o.Mode = "maybe" },
	} {
		o := options()
		change(&o)
		if w.Same(o) {
			t.Errorf("the same with another %s", name)
		}
	}
}

func TestConditions(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := State{
		Conflicts: map[netip.Addr]Conflict{
			addr6.Addr():                      {Since: began.Add(time.Second)},
			netip.MustParseAddr("10.0.0.7"):   {MAC: otherMAC, Since: began, Again: began.Add(time.Hour)},
			netip.MustParseAddr("10.0.0.113"): {MAC: gwMAC, Since: began.Add(time.Minute)},
		},
		Unchecked: []netip.Addr{addr4.Addr()}, Since: began, Err: errors.New("network is down"),
		GatewaysMissing: []netip.Addr{gw4, gw6}, MissingSince: began,
	}
	want := []nic.Condition{
		{Reason: nic.ReasonAddressConflict, Since: began, Message: "address in use on the wire, taken off this NIC until it is free: " +
			"10.0.0.7 by 02:00:5e:20:00:01, 10.0.0.113 by 02:00:5e:30:00:01, 2001:db8::5 by a host that the kernel heard"},
		{Reason: nic.ReasonCheckingAddress, Since: began, Message: "probed for another holder before use: 10.0.0.5: network is down"},
		{Reason: nic.ReasonGatewayMissing, Since: began, Message: "gateway does not answer on the wire: 10.0.0.1, fe80::1"},
	}
	if got := s.Conditions(); !slices.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := (State{Err: errors.New("x")}).Conditions(); len(got) != 0 {
		t.Errorf("%+v while all is well with the addresses", got)
	}
}
