// Package lease keeps what a DHCP server of either version lends: it asks until
// somebody answers, renews in time, and knows when the address must go.
package lease

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// What a server may say, at most.
const (
	maxServers = 8  // DNS servers
	maxDomains = 16 // search domains
	maxNotes   = 16
)

// MinTime is the shortest time that a lease may have.
const MinTime = 2 * time.Second

// A Grant is what leases of both versions have in common. It survives JSON.
type Grant struct {
	// Addr is the address with its subnet's length; /128 in IPv6, where router
	// advertisements say what is on the link.
	Addr   netip.Prefix `json:"addr"`
	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`
	// Acquired is when the request was sent that the server said yes to.
	Acquired time.Time `json:"acquired"`
	// T1 and T2 are when the lease is renewed at its server, and at any.
	T1 time.Time `json:"t1"`
	T2 time.Time `json:"t2"`
	// Expires is when the address must be gone from the NIC.
	Expires time.Time `json:"expires"`
	// ExpiresUp is Expires by the time since the machine's boot, for whoever
	// stores the grant; see Stamp.
	ExpiresUp time.Duration `json:"expiresUp,omitempty"`
	// Notes say to a person what of the answer was left out or changed, and why.
	Notes []string `json:"notes,omitempty"`
}

// Granted is the grant of a lease that embeds it.
func (g Grant) Granted() Grant { return g }

// Holds says whether the grant is whole and has not run out at now.
func (g Grant) Holds(now time.Time) bool {
	return g.Addr.IsValid() && !g.T1.IsZero() && !g.T2.Before(g.T1) && !g.Expires.Before(g.T2) && now.Before(g.Expires)
}

// Due is when to start renewing. A clock that was set back since the grant was
// stored makes its times worthless: then it is at once.
func (g Grant) Due(now time.Time) time.Time {
	if now.Before(g.Acquired) {
		return now
	}
	return g.T1
}

// Stamp prepares a grant for being stored. up is the time since boot, now.
func (g *Grant) Stamp(up time.Duration) { g.ExpiresUp = up + time.Until(g.Expires) }

// Restore brings the times of a grant that was stored under this boot to where
// the wall clock would have them now: somebody may have set it meanwhile (F66).
// From then on they go by the time that passes.
func (g *Grant) Restore(up time.Duration) {
	left := g.ExpiresUp - up
	if g.ExpiresUp == 0 || left > g.Expires.Sub(g.Acquired) { // never stamped, or under another boot
		return
	}
	end, by := time.Now().Add(left), g.Expires
	for _, t := range []*time.Time{&g.Acquired, &g.T1, &g.T2, &g.Expires} {
		*t = end.Add(t.Sub(by))
	}
}

// SetTimes fills in the times from what the server said, all counted from
// Acquired. Where its t1 and t2 are in no order, usual1 and usual2 are taken
// with a note.
func (g *Grant) SetTimes(t1, t2, length, usual1, usual2 time.Duration) error {
	if length < MinTime {
		return fmt.Errorf("lease time %s, want %s or more", length, MinTime)
	}
	if t1 == 0 {
		t1 = usual1
	}
	if t2 == 0 {
		t2 = usual2
	}
	if t1 >= t2 || t2 >= length {
		g.Note("renewal after %s and %s of %s replaced by the usual %s and %s", t1, t2, length, usual1, usual2)
		t1, t2 = usual1, usual2
	}
	g.T1, g.T2, g.Expires = g.Acquired.Add(t1), g.Acquired.Add(t2), g.Acquired.Add(length)
	return nil
}

// Note keeps a remark for people; a chatty server cannot fill memory with them.
func (g *Grant) Note(format string, args ...any) {
	if len(g.Notes) < maxNotes {
		g.Notes = append(g.Notes, fmt.Sprintf(format, args...))
	}
}

// TakeDNS takes the servers that isHost allows, each once and not too many,
// and notes what is left out.
func (g *Grant) TakeDNS(servers []netip.Addr, isHost func(netip.Addr) bool) {
	for _, addr := range servers {
		switch {
		case !isHost(addr):
			g.Note("DNS server %s ignored: not a host's address", addr)
		case slices.Contains(g.DNS, addr):
		case len(g.DNS) == maxServers:
			g.Note("DNS servers after the first %d ignored", maxServers)
			return
		default:
			g.DNS = append(g.DNS, addr)
		}
	}
}

// TakeSearch takes the domains that may stand in a resolv.conf, each once and
// not too many, and notes what is left out.
func (g *Grant) TakeSearch(domains []string) {
	for _, domain := range domains {
		domain = strings.TrimSuffix(domain, ".")
		if err := nic.CheckDomain(domain); err != nil {
			g.Note("search %s", err)
			continue
		}
		if len(g.Search) == maxDomains {
			g.Note("search domains after the first %d ignored", maxDomains)
			return
		}
		if !slices.Contains(g.Search, domain) {
			g.Search = append(g.Search, domain)
		}
	}
}
