//go:build linux

package migrate

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// What cannot be moved is refused with all reasons at once, exit code 4, and nothing
// is touched.
func TestRefused(t *testing.T) {
	const missed = time.Second // a busy machine keeps answers for a while as well
	r := newRig(t)
	s := r.scene(t, "both", []string{"--publish", "8080:80", "--device", "/dev/null", "--pid", "host", "--volume", "/tmp:/host", "--volume", "%s:/data"}, "sh", "-c", writes)
	_, err := r.vm2.Docker(t.Context(), "create", "--name", s.name, echoImage)
	s.do(err)
	before := s.peer.gaps(missed)
	_, err = r.CLI(t.Context(), "migrate", s.name, "--to", "vm2", "--checkpoint")
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 4 {
		t.Fatalf("it ends with %v, want exit code 4", err)
	}
	for _, about := range []string{"ports", "devices", "shares", "binds", "volumes", "layer", "name"} {
		if !strings.Contains(err.Error(), about) {
			t.Errorf("not a word of %q in: %v", about, err)
		}
	}
	for _, node := range []string{"vm1", "vm2"} {
		if want := "docker checkpoint does not work on " + node + `: dockerd runs without "experimental": true`; !strings.Contains(err.Error(), want) {
			t.Errorf("not a word of %q in: %v", want, err)
		}
	}
	s.settled(r.vm1)
	if after := s.peer.gaps(missed); len(after) > len(before) || len(s.peer.changes()) > 0 {
		t.Errorf("the peer missed it: %+v", after)
	}
	var moves struct{ Items []nic.Move }
	s.do(r.get(t.Context(), "/v1/moves", &moves))
	if len(moves.Items) != 0 {
		t.Errorf("there are moves: %+v", moves.Items)
	}
}
