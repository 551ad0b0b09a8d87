//go:build linux

package trust

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/nic"
)

// A node that is revoked stays so whichever release the controller is of: it gets
// nothing more, and its containers keep what they have all the while.
func TestF54_RevokedNodeAtTheReleaseBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.swap(controller, present, false)
	s.swap(agent, present, false)
	s.container("run", "web", "nicferry.network=fixed")
	s.stay("web")
	_, err := s.cli(present, "node", "revoke", "here", "--yes")
	s.do(err)
	s.phase(nic.NodeRevoked)
	s.container("run", "late", "nicferry.network=fixed")

	for _, release := range []string{former, present} {
		told := len(s.log(agent))
		s.replace(controller, release, false)
		s.until("the agent to be refused by "+release, func() error {
			if said := s.log(agent)[told:]; !strings.Contains(said, "the node is revoked since") {
				return fmt.Errorf("its log says:\n%s", said)
			}
			return nil
		})
		s.phase(nic.NodeRevoked)
		s.same("at " + release)
		claims, err := s.claims()
		s.do(err)
		if _, served := claims["late"]; served {
			t.Errorf("%s serves a revoked node: %+v", release, claims["late"])
		}
	}
	s.endPings()
}

// Tokens and certificates that a controller of either release has given are good at
// the other: a machine that joined at this one is served by the release before,
// whichever its agent is of, and joins again with a token of either. One that was
// revoked stays so.
func TestF54_TokensAndCertificatesOutliveTheReleaseBefore(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{Agents: 2})
	vm1, vm2 := r.Agents[0], r.Agents[1]
	old, err := labtest.Previous(t.Context(), "../..", "testdata/previous-landing")
	r.do(err)
	tokens := map[string]string{present: r.token(vm1)}
	r.cli("node", "revoke", "vm2", "--yes")

	r.do(r.StopController(t.Context()))
	vm2Said := r.said(vm2)
	r.do(r.Daemons().Start(lab.Program{Name: fleet.Controller, Args: []string{filepath.Join(old, "nicferryd"), "--config", r.ConfigPath()}}))
	r.await("node vm2 was revoked", vm2Said)
	r.run(vm1, "web", "nicferry.network=fixed")
	r.await(`web .*bound`, r.claimsText)
	r.do(vm1.Stop(t.Context()))
	r.do(vm1.Daemons().Start(lab.Program{Name: fleet.Nicferry, Args: []string{filepath.Join(old, "nicferry-agent"), "--config", vm1.ConfigPath()}}))
	r.run(vm1, "db", "nicferry.network=fixed")
	r.await(`db .*bound`, r.claimsText)
	tokens[former] = r.token(vm1)

	r.do(r.StopController(t.Context()))
	vm2Said = r.said(vm2)
	r.do(r.StartController(t.Context()))
	r.await("vm1 .*ready", func() (string, error) { return r.CLI(t.Context(), "get", "nodes") })
	r.await("node vm2 was revoked", vm2Said)
	for release, token := range tokens {
		if out, err := vm1.JoinWith(t.Context(), token, "--force"); err != nil {
			t.Errorf("the token of %s: %v\n%s", release, err, out)
		}
	}
}

// phase waits until the node is in it.
func (s *site) phase(want nic.NodePhase) {
	s.t.Helper()
	s.until("node here to be "+string(want), func() error {
		out, err := s.cli(present, "get", "nodes")
		if err == nil && !strings.Contains(out, string(want)) {
			err = fmt.Errorf("it still is:\n%s", out)
		}
		return err
	})
}
