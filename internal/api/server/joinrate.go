package server

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often somebody may try to join who has shown nothing yet. A rack of
// machines behind one address that joins at once is within the bursts.
const (
	joinEvery    = 500 * time.Millisecond // per source
	joinBurst    = 40
	joinAllEvery = 20 * time.Millisecond // of all sources together
	joinAllBurst = 400
	// maxSources bounds how many sources are remembered.
	maxSources = 4096
)

// joinRate bounds the attempts to join by their source, so that nobody grinds
// the controller or tries secrets.
type joinRate struct {
	mu      sync.Mutex
	all     *rate.Limiter
	sources map[netip.Prefix]*rate.Limiter
}

func newJoinRate() *joinRate {
	return &joinRate{
		all:     rate.NewLimiter(rate.Every(joinAllEvery), joinAllBurst),
		sources: map[netip.Prefix]*rate.Limiter{},
	}
}

// allow says whether one more attempt of the source may go ahead. The socket,
// which has no address, is for admins anyway.
func (j *joinRate) allow(remote string, now time.Time) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	source := sourceOf(at.Addr())
	limit := j.sources[source]
	if limit == nil {
		j.forget(now)
		limit = rate.NewLimiter(rate.Every(joinEvery), joinBurst)
		j.sources[source] = limit
	}
	// Only whoever is within its own bound takes from the common one.
	return limit.AllowN(now, 1) && j.all.AllowN(now, 1)
}

// forget makes room for one more source: those that have their whole burst
// again are as good as new, and if nobody is, one goes, whichever it is.
func (j *joinRate) forget(now time.Time) {
	if len(j.sources) < maxSources {
		return
	}
	for source, limit := range j.sources {
		if limit.TokensAt(now) >= joinBurst {
			delete(j.sources, source)
		}
	}
	for source := range j.sources {
		if len(j.sources) < maxSources {
			return
		}
		delete(j.sources, source)
	}
}

// sourceOf is whose the address is: in IPv6 a machine has a whole /64.
func sourceOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // within the address's length
	return prefix
}
