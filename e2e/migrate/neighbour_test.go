//go:build linux

package migrate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// F59: under DHCP a container that moves has the same address, and the server has
// had one client, which asked for what it had.
func TestF59_MovedUnderDHCP(t *testing.T) {
	r := newRig(t)
	s := r.scene(t, "lab", nil)
	before, err := r.LAN.Leases()
	s.do(err)
	for _, to := range []*fleet.Agent{r.vm2, r.vm1} {
		s.do(s.migrate(to))
		s.settled(to)
	}
	after, err := r.LAN.Leases()
	s.do(err)
	if len(before) != 1 || len(after) != 1 || before[0].ClientID != after[0].ClientID || before[0].Addr != after[0].Addr || before[0].MAC != after[0].MAC {
		t.Errorf("the server's leases were %+v and are %+v", before, after)
	}
	log, err := r.LAN.DHCPLog()
	s.do(err)
	count := func(what string) int { return strings.Count(log, what+"(wire0)") }
	if count("DHCPDISCOVER") != 1 || count("DHCPRELEASE") != 0 || count("DHCPNAK") != 0 || count("DHCPREQUEST") < 2 {
		t.Errorf("want one DHCPDISCOVER, no release, no refusal, and requests:\n%s", log)
	}
}

// F61: whoever had the container in its table of neighbours reaches it again at once
// after a move, for its MAC is the same: also a peer that hears no gratuitous ARP.
func TestF61_NeighboursOfAMovedContainer(t *testing.T) {
	r := newRig(t)
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf=%t", deaf), func(t *testing.T) {
			s := r.scene(t, "both", nil)
			addr, before := s.addrs[0], r.frames.announced(s.mac)
			if deaf {
				r.hearNoAnnouncements(t)
			}
			s.do(s.migrate(r.vm2))
			s.settled(r.vm2)
			over := s.peer.changes()
			if len(over) != 1 || over[0].took() > 10*time.Second { // a table that does not know it keeps silent for half a minute
				t.Errorf("want one change of who answers, after less than ten seconds: %v", over)
			}
			out, err := r.LAN.Run(t.Context(), "ip", "neigh", "show", addr.String())
			s.do(err)
			if !strings.Contains(out, s.mac.String()) || strings.Contains(out, "FAILED") {
				t.Errorf("the peer's neighbour is %q, want %s", out, s.mac)
			}
			s.do(fleet.Until(t.Context(), "three announcements", func() error {
				if n := r.frames.announced(s.mac) - before; n < 3 {
					return fmt.Errorf("there were %d", n)
				}
				return nil
			}))
			t.Logf("silent: %v; neighbour %s", over, strings.TrimSpace(out))
		})
	}
}

// hearNoAnnouncements has the peer drop all that neighbours say of themselves without
// having been asked.
func (r *rig) hearNoAnnouncements(t *testing.T) {
	t.Helper()
	set := func(value string) {
		for _, key := range []string{"net.ipv4.conf.wire0.drop_gratuitous_arp", "net.ipv6.conf.wire0.drop_unsolicited_na"} {
			if _, err := r.LAN.Run(context.WithoutCancel(t.Context()), "sysctl", "-qw", key+"="+value); err != nil {
				t.Error(err)
			}
		}
	}
	set("1")
	t.Cleanup(func() { set("0") })
}
