//go:build linux

package migrate

import (
	"testing"
)

// The NIC alone goes from a running container to a stand-by on the other machine.
func TestMoveNIC(t *testing.T) {
	r := newRig(t)
	s := r.scene(t, "both", nil)
	standby := s.name + "-b"
	_, err := r.vm2.Docker(t.Context(), "run", "-d", "--network", "none", "--name", standby, echoImage)
	s.do(err)
	t.Cleanup(func() { _, _ = r.vm2.Docker(t.Context(), "rm", "-f", standby) })
	out, err := s.CLI(t.Context(), "move-nic", s.name, "--to", "vm2/"+standby)
	t.Logf("%s", out)
	s.do(err)
	s.do(s.peer.heard(t.Context(), settleTime))
	claims, err := s.claims(t.Context())
	s.do(err)
	if len(claims) != 0 {
		t.Errorf("the one that has given its NIC away has claims %+v", claims)
	}
	if len(r.places.where(s.name)) != 1 || len(r.places.where(standby)) != 1 {
		t.Error("one of the two containers does not run")
	}
	over := s.peer.changes()
	if len(over) != 1 {
		t.Errorf("want one change of who answers: %+v", over)
	}
	t.Logf("silent: %v; frames: %s", over, s.stays())
	s.name, standby = standby, s.name
	s.settled(r.vm2)
	// Restarted, the one without gets none of its own.
	_, err = r.vm1.Docker(t.Context(), "restart", "-t", "1", standby)
	s.do(err)
	s.settled(r.vm2)
	_, err = r.vm1.Docker(t.Context(), "rm", "-f", standby)
	s.do(err)
}
