//go:build linux

package trust

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/nic"
)

// kept is what a container must not lose.
type kept struct {
	Claim nic.ClaimID
	NIC   nic.ID
	Epoch uint64
	Links string // in the container: name, MAC, state, addresses
}

// claims are those of all containers, by name.
func (s *site) claims() (map[string]nic.Claim, error) {
	out, err := s.cli(present, "get", "claims", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []nic.Claim }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	claims := map[string]nic.Claim{}
	for _, c := range list.Items {
		claims[c.Container] = c
	}
	return claims, nil
}

// await waits until these containers' claims are in the phase.
func (s *site) await(phase nic.ClaimPhase, names ...string) {
	s.t.Helper()
	s.until(fmt.Sprintf("claims of %q to be %s", names, phase), func() error {
		claims, err := s.claims()
		for _, name := range names {
			if c := claims[name]; err == nil && c.Phase != phase {
				err = fmt.Errorf("that of %s is %q: %v", name, c.Phase, c.Conditions)
			}
		}
		return err
	})
}

// links are the interface eth0 of each running container, with its addresses.
func (s *site) links() map[string]string {
	s.t.Helper()
	const script = `docker --host unix://"$0" ps -q | xargs -r docker --host unix://"$0" inspect -f '{{.Name}} {{.State.Pid}}' |
	while read -r name pid; do
		echo "$name" $(nsenter -t "$pid" -n ip -br link show dev eth0; nsenter -t "$pid" -n ip -br -4 addr show dev eth0)
	done`
	out, err := s.node.Run(s.t.Context(), "sh", "-c", script, s.node.Engine.Socket())
	s.do(err)
	links := map[string]string{}
	for line := range strings.Lines(out) {
		name, link, _ := strings.Cut(strings.TrimSpace(line), " ")
		links[strings.TrimPrefix(name, "/")] = link
	}
	return links
}

// stay notes what running containers have, and pings them from now on.
func (s *site) stay(names ...string) {
	s.t.Helper()
	s.await(nic.ClaimBound, names...)
	claims, err := s.claims()
	s.do(err)
	links := s.links()
	for _, name := range names {
		c := claims[name]
		s.known[name] = kept{Claim: c.ID, NIC: c.NIC, Epoch: c.Epoch, Links: links[name]}
		fields := strings.Fields(links[name])
		prefix, err := netip.ParsePrefix(fields[len(fields)-1])
		s.do(err)
		_, err = s.lan.Ping(s.t.Context(), prefix.Addr(), 10*time.Millisecond, 10*time.Millisecond) // the neighbours know each other now
		s.do(err)
		s.pings[name], err = s.lan.StartPing("ping-"+name, prefix.Addr(), 20*time.Millisecond)
		s.do(err)
	}
}

// leased are the DHCP server's leases, without when they end.
func (s *site) leased() map[string]bool {
	s.t.Helper()
	leases, err := s.lan.Leases()
	s.do(err)
	list := map[string]bool{}
	for _, l := range leases {
		list[fmt.Sprintf("%s %s %s %s", l.MAC, l.Addr, l.Hostname, l.ClientID)] = true
	}
	return list
}

// renamed is for a container that stays under another name.
func (s *site) renamed(from, to string) {
	s.known[to], s.pings[to] = s.known[from], s.pings[from]
	delete(s.known, from)
	delete(s.pings, from)
}

// endPings wants none lost.
func (s *site) endPings() {
	s.t.Helper()
	sent := 0
	for name, p := range s.pings {
		result, missing, err := p.End(s.t.Context())
		switch {
		case err != nil:
			s.t.Errorf("%s: %v", name, err)
		case result.Lost > 0:
			s.t.Errorf("%s: %s; the first are %v", name, result, missing)
		}
		sent += result.Sent
	}
	s.t.Logf("%5.1f s  %d pings of %d containers", time.Since(s.begun).Seconds(), sent, len(s.pings))
	clear(s.pings)
}

// leave removes all containers, and then the daemons: nothing may be left.
func (s *site) leave() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startTime)
	defer cancel()
	s.docker(append([]string{"rm", "-f"}, strings.Fields(s.docker("ps", "-aq"))...)...)
	s.until("all NICs and claims to be gone", func() error {
		for _, kind := range []string{"nics", "claims"} {
			out, err := s.cli(present, "get", kind, "-o", "name")
			if err != nil || strings.TrimSpace(out) != "" {
				return fmt.Errorf("there still are: %s %w", out, err)
			}
		}
		return nil
	})
	s.do(s.daemons.Stop(ctx, agent))
	s.do(s.daemons.Stop(ctx, controller))
	s.do(promise.Await(ctx, promise.Options{Node: s.node, Config: s.config(controller)}, startTime/3))
	left, err := s.node.Leftovers(ctx, s.before, startTime/3)
	s.do(err)
	if len(left) > 0 || len(s.leased()) > 0 {
		s.t.Errorf("left behind: %q, leases %v", left, s.leased())
	}
}
