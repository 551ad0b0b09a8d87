//go:build linux

package trust

import (
	"fmt"
	"strings"
	"testing"

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
