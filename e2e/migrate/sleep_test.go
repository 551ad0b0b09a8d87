//go:build linux

package migrate

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
)

// F63: the NIC of a running container moves while the agent that is to take it out
// is asleep. As long as it is there it is nowhere else: a frame of its MAC never
// comes from both ports of the switch.
func TestF63_OneMACFromOnePort(t *testing.T) {
	r := newRig(t)
	s := r.scene(t, "both", nil)
	standby := s.name + "-b"
	_, err := r.vm2.Docker(t.Context(), "run", "-d", "--network", "none", "--name", standby, echoImage)
	s.do(err)
	t.Cleanup(func() { _, _ = r.vm2.Docker(t.Context(), "rm", "-f", standby) })
	// The agent looks at the container before it takes anything out of it.
	held := r.faults["vm1"].inject(`^GET /containers/[0-9a-f]+/json$`, &fault{times: -1, hold: make(chan struct{})})
	id := s.move(nic.MoveRequest{Kind: nic.MoveNIC, To: "vm2", Target: standby})
	<-held.seen
	s.do(r.vm1.Daemons().Signal(fleet.Nicferry, syscall.SIGSTOP))
	time.AfterFunc(3*time.Second, func() {
		r.faults["vm1"].heal()
		_ = r.vm1.Daemons().Signal(fleet.Nicferry, syscall.SIGCONT)
	})
	var last nic.Move
	s.do(r.follow(t.Context(), id, func(m nic.Move) bool { last = m; return m.Phase.Over() }))
	if last.Phase != nic.MoveDone {
		t.Fatalf("the move ended as %s", migratetest.Tell(last))
	}
	s.do(s.peer.heard(t.Context(), settleTime))
	if stays := r.frames.of(s.mac); len(stays) != 2 || stays[0].port != r.vm1.Port() || stays[1].port != r.vm2.Port() {
		t.Errorf("frames of %s: %s; want some from the one port, then from the other", s.mac, s.stays())
	}
	for _, wrong := range r.wrong() {
		t.Error(wrong)
	}
	over := s.peer.changes()
	if len(over) != 1 {
		t.Errorf("want one change of who answers: %v", over)
	}
	t.Logf("frames: %s; silent: %v", s.stays(), over)
	s.name = standby
	s.settled(r.vm2)
}

// F65: the agent of the source node falls asleep in the middle of stopping the
// container. Another takes its place, and the move goes on and ends. When the first
// wakes up, what it says and asks is refused, it touches nothing, and it ends.
func TestF65_AnAgentThatSleptThroughAMove(t *testing.T) {
	r := newRig(t)
	s := r.scene(t, "both", nil)
	held := r.faults["vm1"].inject(calls[migrate.StepStop].do.what, &fault{times: 1, hold: make(chan struct{})})
	id := s.move(nic.MoveRequest{To: "vm2", Options: nic.MoveOptions{Keep: true}})
	<-held.seen
	s.do(r.vm1.Daemons().Signal(fleet.Nicferry, syscall.SIGSTOP))
	config, other := r.vm1.ConfigPath(), r.vm1.File("other.yaml")
	_, err := r.vm1.Machine.Run(t.Context(), "sh", "-c", "sed 's|^runDir: .*|&2|' "+config+" > "+other+"; printf 'metrics: {address: \"\"}\\n' >> "+other)
	s.do(err)
	s.do(r.vm1.Daemons().Start(lab.Program{Name: "other", Args: []string{r.Program("nicferry-agent"), "--config", other}}))
	var last nic.Move
	s.do(r.follow(t.Context(), id, func(m nic.Move) bool { last = m; return m.Phase.Over() }))
	if last.Phase != nic.MoveDone {
		t.Fatalf("the move ended as %s", migratetest.Tell(last))
	}
	s.settled(r.vm2)
	_, err = r.vm2.Docker(t.Context(), "restart", "-t", "1", s.name) // a word of the one that has it now
	s.do(err)
	s.settled(r.vm2)
	r.faults["vm1"].heal()
	s.do(r.vm1.Daemons().Signal(fleet.Nicferry, syscall.SIGCONT))
	ctx, cancel := context.WithTimeout(t.Context(), settleTime)
	defer cancel()
	s.do(r.vm1.Daemons().Ended(ctx, fleet.Nicferry, 6)) // "another agent has started"
	s.settled(r.vm2)
	if log := r.vm1.Log(); !strings.Contains(log, "another agent has started") {
		t.Error("the agent that slept does not say why it ends")
	}
	s.do(r.vm1.Daemons().Stop(t.Context(), "other"))
	s.do(r.vm1.Start(t.Context()))
	s.settled(r.vm2)
}
