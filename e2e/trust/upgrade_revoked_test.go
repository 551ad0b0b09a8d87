//go:build linux

package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/nic"
)

// A node that is revoked is let in again by a controller of the release before,
// which does not know the word, and is not revoked any more when this release comes
// back: docs/upgrade.md says so. Its containers keep what they have all the while.
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

	s.swap(controller, former, false)
	s.phase(nic.NodeReady)
	s.await(nic.ClaimBound, "late")
	s.same("at the release before")

	s.swap(controller, present, false)
	s.phase(nic.NodeReady)
	s.same("at this release again")
	_, err = s.cli(present, "node", "revoke", "here", "--yes") // anew, as the documentation says
	s.do(err)
	s.phase(nic.NodeRevoked)
	s.same("revoked again")
	s.endPings()
}

// What a token gave stays void: a controller of the release before leaves the
// authority's records alone.
func TestF54_TokensAndCertificatesOutliveTheReleaseBefore(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{Agents: 2})
	vm1, vm2 := r.Agents[0], r.Agents[1]
	old, err := labtest.Previous(t.Context(), "../..", "testdata/previous-landing")
	r.do(err)
	token := r.token(vm1)
	r.cli("node", "revoke", "vm2", "--yes")
	r.do(r.StopController(t.Context()))

	config := r.File("former.yaml") // without listen, which needs certificates there
	r.do(os.WriteFile(config, fmt.Appendf(nil, siteConfig, r.Machine.Dir(), "", ""), 0o600))
	r.do(r.Daemons().Start(lab.Program{Name: fleet.Controller, Args: []string{filepath.Join(old, "nicferryd"), "--config", config}}))
	r.await("vm1 ", func() (string, error) { return r.CLI(t.Context(), "get", "nodes") })
	r.do(r.StopController(t.Context()))

	vm2Said := r.said(vm2)
	r.do(r.StartController(t.Context()))
	r.await("vm1 .*ready", func() (string, error) { return r.CLI(t.Context(), "get", "nodes") })
	r.await("node vm2 was revoked", vm2Said)
	out, err := vm1.JoinWith(t.Context(), token, "--force")
	if err != nil {
		t.Errorf("the token of before: %v\n%s", err, out)
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
