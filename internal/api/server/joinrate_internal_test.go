package server

import (
	"net/netip"
	"testing"
	"time"
)

// Each source has its bound and all of them have one, and sources without number
// take no memory without bound.
func TestJoinRate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	j := newJoinRate()
	tries := func(remote string) (allowed int) {
		for range 2 * joinBurst {
			if j.allow(remote, now) {
				allowed++
			}
		}
		return allowed
	}
	if got := tries("10.0.0.1:1000"); got != joinBurst {
		t.Errorf("%d at once of one source, want %d", got, joinBurst)
	}
	if tries("10.0.0.1:2000") != 0 || tries("[::ffff:10.0.0.1]:7") != 0 {
		t.Error("another port of the same machine is another source")
	}
	if got := tries("[fd00::1]:1"); got != joinBurst {
		t.Errorf("%d of another source, want %d", got, joinBurst)
	}
	if tries("[fd00::ffff:1]:1") != 0 {
		t.Error("a machine has as many sources as IPv6 addresses")
	}
	if tries("@") != 2*joinBurst {
		t.Error("the socket is bounded")
	}
	if now = now.Add(10 * joinEvery); tries("10.0.0.1:1000") != 10 {
		t.Error("it does not go on with time")
	}
	all := 0
	addr := netip.MustParseAddr("10.1.0.0")
	for range maxSources + 500 {
		addr = addr.Next()
		if j.allow(netip.AddrPortFrom(addr, 1).String(), now) {
			all++
		}
	}
	if all > joinAllBurst || len(j.sources) > maxSources {
		t.Errorf("%d of all sources at once, and %d remembered", all, len(j.sources))
	}
}
