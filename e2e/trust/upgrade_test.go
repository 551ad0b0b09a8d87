//go:build linux

package trust

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Controller and agent are replaced by those of the release before and by these
// again, in all orders that an upgrade and a downgrade have, twice by kill -9:
// containers keep NIC, MAC, address and lease, and lose no ping; new ones are
// served and others removed at each step. What a container has by its tenant it has
// whichever release asked for it, and whichever wrote its records.
func TestF54_UpgradeAndDowngradeKeepEverything(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.swap(controller, former, false)
	s.swap(agent, former, false)
	var names []string
	for i := range 20 {
		network := "lab"
		switch {
		case i >= 18:
			network = "warm"
		case i >= 10:
			network = "fixed"
		}
		name := fmt.Sprintf("c%d", i)
		names = append(names, name)
		s.container("run", name, "nicferry.network="+network)
	}
	s.container("create", "early", "nicferry.network=fixed")
	s.stay(names...)
	s.await(nic.ClaimReady, "early")
	s.leases = s.leased()

	s.swap(agent, present, true)
	s.holds("new0")
	s.swap(controller, present, false)
	s.holds("new1")
	s.container("run", "till", "nicferry.network=shop", "nicferry.tenant=shop")
	s.stay("till")
	s.tenant("till", "shop")
	s.swap(agent, former, false)
	s.holds("new2")
	s.container("run", "shelf", "nicferry.network=shop", "nicferry.tenant=shop")
	s.stay("shelf")
	s.tenant("shelf", "shop")
	s.swap(agent, present, false)
	s.holds("new3")

	s.swap(controller, former, true)
	s.holds("new4")
	s.rewrite()
	s.holds("new5")

	s.swap(controller, present, false)
	s.holds("new6")
	s.settled()
	s.endPings()
	s.leave()
}

// holds wants all that stays to have what it had, and a new container to be served
// before it is removed.
func (s *site) holds(name string) {
	s.t.Helper()
	s.container("run", name, "nicferry.network=lab")
	s.await(nic.ClaimBound, name)
	s.same(name)
	s.t.Logf("%5.1f s  all is as it was, %s is served", time.Since(s.begun).Seconds(), name)
	s.look()
	s.docker("rm", "-f", name)
	s.until(name+" to be gone, with its lease", func() error {
		claims, err := s.claims()
		if _, still := claims[name]; err == nil && still || len(s.leased()) != len(s.leases) {
			err = fmt.Errorf("%d claims, leases %v", len(claims), s.leased())
		}
		return err
	})
	if leases := s.leased(); !maps.Equal(leases, s.leases) {
		s.t.Errorf("leases %v, were %v", leases, s.leases)
	}
}

// same wants every container that stays to have what it had.
func (s *site) same(where string) {
	s.t.Helper()
	claims, err := s.claims()
	s.do(err)
	links := s.links()
	for name, had := range s.known {
		c := claims[name]
		has := kept{Claim: c.ID, NIC: c.NIC, Epoch: c.Epoch, Links: links[name]}
		if has != had || c.Phase != nic.ClaimBound {
			s.t.Errorf("%s: %s has %+v, %s, %v; had %+v", where, name, has, c.Phase, c.Conditions, had)
		}
	}
}

// look has the command lines of both releases show everything.
func (s *site) look() {
	s.t.Helper()
	for _, release := range []string{former, present} {
		for _, call := range [][]string{
			{"get", "nodes"},
			{"get", "networks"},
			{"get", "claims"},
			{"get", "nics", "-o", "wide"},
			{"status"},
			{"describe", "claims", "c0"},
			{"describe", "nics", string(s.known["c0"].NIC)},
			{"describe", "nodes", "here"},
		} {
			out, err := s.cli(release, call...)
			if err != nil || strings.TrimSpace(out) == "" {
				s.t.Errorf("nicferry %q of %s: %v\n%s", call, release, err, out)
			}
		}
	}
}

// rewrite has the release before write records anew that this one has written, and
// serve a container of a tenant, under an agent of this one.
func (s *site) rewrite() {
	s.t.Helper()
	s.docker("rename", "till", "counter")
	s.renamed("till", "counter")
	s.docker("start", "early") // its NIC moves
	s.await(nic.ClaimBound, "early", "counter")
	s.container("run", "stall", "nicferry.network=shop", "nicferry.tenant=shop")
	s.stay("stall", "early")
}

// settled is what this release makes of records that the one before has rewritten:
// all is the tenant's whose it was.
func (s *site) settled() {
	s.t.Helper()
	for _, name := range []string{"counter", "shelf", "stall"} {
		s.tenant(name, "shop")
	}
	for _, name := range []string{"early", "counter", "stall"} {
		if out, err := s.cli(present, "describe", "claims", name); err != nil {
			s.t.Errorf("describe %s: %v\n%s", name, err, out)
		}
	}
	s.container("run", "till", "nicferry.network=shop", "nicferry.tenant=shop")
	s.await(nic.ClaimBound, "till")
	s.tenant("till", "shop")
	s.same("at the end")
}

// tenant wants a container's claim to be the tenant's.
func (s *site) tenant(container, want string) {
	s.t.Helper()
	claims, err := s.claims()
	s.do(err)
	if got := nic.TenantOf(claims[container].Tenant); got != want {
		s.t.Errorf("%s is tenant %s's, want %s's", container, got, want)
	}
}
