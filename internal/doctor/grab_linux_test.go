package doctor

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// everything is what an administrator writes who wants DHCP wherever there is a
// plug, and renames what comes.
func everything() map[string]string {
	return map[string]string{
		"etc/systemd/network/80-all.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n[DHCPv4]\nUseRoutes=no\n",
		"etc/systemd/network/90-all.link":    "[Match]\nOriginalName=eth*\n[Link]\nAlternativeName=grabbed\nMACAddressPolicy=random\n",
	}
}

// F36: a machine whose systemd-networkd does DHCP on all NICs gives none to
// 100 NICs of ours, and does to the one that is not; without the drop-ins it
// grabs ours.
func TestF36_NetworkdLeavesOurNICsAlone(t *testing.T) {
	netnstest.RequireRoot(t)
	t.Parallel()
	files := everything()
	maps.Copy(files, mended(t))
	s := newSandbox(t, files)
	events := s.start(t, s.machine, "ip", "-o", "monitor", "address", "link")
	var ours []string
	for n := range 100 {
		ours = append(ours, fmt.Sprintf("e2:4e:00:00:00:%02x", n))
	}
	s.plug(t, 1, ours...)
	s.plug(t, 101, "52:54:00:00:00:01") // the machine's own, after all of ours
	deadline := time.Now().Add(60 * time.Second)
	for left := 0; left < len(ours); { // it has made up its mind about each
		if line := next(t, s.networkd, time.Until(deadline)); strings.HasSuffix(line, "-> unmanaged") && !strings.HasPrefix(line, "lo:") {
			left++
		}
	}
	for own := false; !own; {
		line := next(t, events, time.Until(deadline))
		if !strings.Contains(line, "inet") {
			continue
		}
		own = strings.Contains(line, "eth101 ") && strings.Contains(line, "inet 10.9.")
		if !strings.Contains(line, "eth101 ") && !strings.Contains(line, ": lo ") {
			t.Fatalf("a NIC of ours has an address: %s", line)
		}
	}
	out := netnstest.Run(t, s.machine, "ip", "-d", "-o", "link")
	seen := 0
	for line := range strings.Lines(out) {
		if !strings.Contains(line, " e2:4e:") {
			continue
		}
		seen++
		if strings.Contains(line, ",UP") || strings.Contains(line, "grabbed") || !strings.Contains(line, ": eth") {
			t.Errorf("touched: %s", line)
		}
	}
	if seen != 100 {
		t.Errorf("%d NICs of ours are left with their MACs, of 100", seen)
	}
	if addrs := netnstest.Run(t, s.machine, "ip", "-o", "addr"); strings.Count(addrs, "inet 10.9.") != 1 {
		t.Errorf("want one address, the machine's own; got\n%s", addrs)
	}
}

// The guard of F36 is missed when it is off.
func TestF36_WithoutDropInsOursAreGrabbed(t *testing.T) {
	netnstest.RequireRoot(t)
	t.Parallel()
	s := newSandbox(t, everything())
	events := s.start(t, s.machine, "ip", "-o", "monitor", "address")
	s.plug(t, 1, "e2:4e:00:00:00:01")
	deadline := time.Now().Add(60 * time.Second)
	for {
		line := next(t, events, time.Until(deadline))
		if strings.Contains(line, "eth1 ") && strings.Contains(line, "inet 10.9.") {
			return
		}
	}
}
