package announce

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Options say which addresses of which NIC are probed and announced.
type Options struct {
	// Open opens a Wire at the NIC; see Listener. It is called whenever there
	// is something to send or to hear, and again when a Wire breaks. Required.
	Open func() (Wire, error)
	// MAC of the NIC. Frames with it are our own. Required.
	MAC nic.MAC
	// Addrs are the addresses that the NIC is to have. Optional.
	Addrs []netip.Prefix
	// Gateways are asked for once no other holder of our addresses has been
	// heard; without any nothing is asked. Optional.
	Gateways []netip.Addr
	// Mode says whether IPv4 addresses may be on the NIC while they are
	// probed; default ProbeOptimistic. In all modes the kernel itself checks
	// IPv6 addresses, before it uses them.
	Mode nic.Probe
	// Silent: announce nothing. Probes and gateway requests go out all the same.
	Silent bool
	// Replies: announce IPv4 addresses by ARP replies too, for peers that take
	// no notice of requests. Optional.
	Replies bool
	// Ours are addresses that were this one's until now, at another NIC or place:
	// peers and switches are told at once where they are, while it is still asked
	// who else has them. With probes of the mode strict that is not so. Optional.
	Ours []netip.Addr
	// Earlier is the state of the watcher that this one replaces: addresses in
	// conflict stay withdrawn until they are found free. Optional.
	Earlier State
	// Timing replaces the mode's waits; see TimingOf. Optional.
	Timing *Timing
	// Wake is called from the watcher's goroutine whenever State has changed.
	// It must not block, nor call Stop. Optional.
	Wake func()
	// Log is told of conflicts and gateways lost and found. Optional.
	Log *slog.Logger
}

// Timing holds the waits of a watcher.
type Timing struct {
	// First is the longest random wait before the first probe, Probes how many
	// there are, Min to Max the time between them, and Settle how long after
	// the last an answer is waited for. RFC 5227 calls them PROBE_WAIT,
	// PROBE_NUM, PROBE_MIN, PROBE_MAX and ANNOUNCE_WAIT.
	First, Min, Max, Settle time.Duration
	Probes                  int
	// Watch is how long conflicts are listened for after that.
	Watch time.Duration
	// RetryFirst and RetryMax bound the growing waits, with jitter, before an
	// address in conflict is probed again, and a missing gateway asked for.
	RetryFirst, RetryMax time.Duration
	// Asks is how often a gateway is asked for, every Ask, until it is missing.
	Asks int
	Ask  time.Duration
	// Carrier is how long a probe waits for the link to carry.
	Carrier time.Duration
}

// TimingOf returns the waits of a mode: those of RFC 5227 if strict, else
// quick ones, after which an address counts as ours 0.4 s after the start.
func TimingOf(mode nic.Probe) Timing {
	t := Timing{
		Min: 100 * time.Millisecond, Max: 100 * time.Millisecond, Settle: 200 * time.Millisecond, Probes: 3,
		Watch: 5 * time.Second, RetryFirst: 20 * time.Second, RetryMax: 5 * time.Minute,
		Asks: 3, Ask: time.Second, Carrier: 5 * time.Second,
	}
	if mode == nic.ProbeStrict {
		t.First, t.Min, t.Max, t.Settle = time.Second, time.Second, 2*time.Second, 2*time.Second
	}
	return t
}

// check fills in what is optional and reports what is missing or wrong.
func (o *Options) check() error {
	if o.Mode == "" {
		o.Mode = nic.ProbeOptimistic
	}
	if o.Timing == nil {
		o.Timing = new(TimingOf(o.Mode))
	}
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Open == nil:
		return errors.New("no Open")
	case o.MAC.IsZero():
		return errors.New("no MAC")
	case o.Mode != nic.ProbeOptimistic && o.Mode != nic.ProbeStrict && o.Mode != nic.ProbeOff:
		return fmt.Errorf("probe %q: want %s, %s or %s", o.Mode, nic.ProbeOptimistic, nic.ProbeStrict, nic.ProbeOff)
	}
	for _, p := range o.Addrs {
		if !usual(p.Addr()) {
			return fmt.Errorf("address %s: cannot be a NIC's", p)
		}
	}
	for _, gw := range o.Gateways {
		if !usual(gw) {
			return fmt.Errorf("gateway %s: cannot be a host's", gw)
		}
	}
	return nil
}

// usual says whether a host can have the address.
func usual(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6() && a.Zone() == ""
}

// same compares what changes the work; the functions are taken as they are.
func (o *Options) same(p *Options) bool {
	return o.MAC == p.MAC && o.Mode == p.Mode && o.Silent == p.Silent && o.Replies == p.Replies &&
		*o.Timing == *p.Timing &&
		sameSet(o.Addrs, p.Addrs, netip.Prefix.Compare) && sameSet(o.Gateways, p.Gateways, netip.Addr.Compare)
}

func sameSet[T comparable](a, b []T, compare func(T, T) int) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, compare)
	slices.SortFunc(b, compare)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
