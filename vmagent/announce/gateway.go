package announce

import (
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// A gateway is asked for until it answers.
type gateway struct {
	addr    netip.Addr
	found   bool
	missing time.Time // since when; zero if it is not
	sent    int
	at      time.Time // when it is asked for next; zero if not yet, or no more
	retry   retry.Backoff
}

// act asks, once it is known that the address asked from is ours.
func (g *gateway) act(k *worker, now time.Time) error {
	if g.found || !g.at.IsZero() && now.Before(g.at) {
		return nil
	}
	if g.sent == k.o.Timing.Asks {
		if g.missing.IsZero() {
			g.missing = now
			k.o.Log.Warn("gateway does not answer", "gateway", g.addr)
		}
		g.sent, g.at = 0, now.Add(g.retry.Next())
		return nil
	}
	from, ok := k.source(g.addr)
	if !ok {
		g.sent, g.at = 0, time.Time{}
		return nil
	}
	if err := k.send(requestFrame(k.o.MAC, from, g.addr)); err != nil {
		return err
	}
	g.sent++
	g.at = now.Add(k.o.Timing.Ask)
	return nil
}

// hear takes note of whatever the gateway says of itself.
func (g *gateway) hear(k *worker, w word) {
	if g.found || w.addr != g.addr || w.wants {
		return
	}
	if !g.missing.IsZero() {
		k.o.Log.Info("gateway answers again", "gateway", g.addr, "missing", g.missing)
	}
	g.found, g.missing, g.sent, g.at = true, time.Time{}, 0, time.Time{}
}

func (g *gateway) awaits() bool { return !g.found && g.at.IsZero() }

// source is the address to ask for gw from, if there is one: on the NIC, and
// no check of its family open, lest a request mislead the other holder's peers.
func (k *worker) source(gw netip.Addr) (from netip.Addr, ok bool) {
	for _, c := range k.checks {
		if c.prefix.Addr().Is4() == gw.Is4() && !c.clear && c.conflict == nil {
			return netip.Addr{}, false
		}
	}
	for _, a := range k.sight.Addrs {
		if addr := a.Prefix.Addr(); addr.Is6() && gw.Is6() && addr.IsLinkLocalUnicast() && k.present(addr) {
			return addr, true
		}
	}
	for _, c := range k.checks {
		addr := c.prefix.Addr()
		if addr.Is4() != gw.Is4() || !c.clear || !k.present(addr) {
			continue
		}
		if c.prefix.Contains(gw) {
			return addr, true
		}
		if !ok {
			from, ok = addr, true
		}
	}
	return from, ok
}
