//go:build linux

package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
)

// A mover is a container that answers a peer outside, and is moved from guest to
// guest. At the test's end it goes, and it is told what was seen that must not be:
// that it ran in two guests, or spoke from two ports.
type mover struct {
	*rig
	name  string
	was   card
	claim nic.ClaimID
	look  *lookout
	ports *portLedger
	peer  *lab.Watch
	calls *client.Client
	began time.Time
	// together: containers run in both guests, as they should.
	together bool
}

const (
	// settleTime is within what a container runs somewhere and answers, once all
	// that was harmed is there again.
	settleTime = 30 * time.Second
	// sluggish is what is added to that for guests without hardware's help, which
	// share two processors with each other, the controller and other work.
	sluggish = 60 * time.Second
	// restTime bounds how long a harmed move goes on until it is over or parked, by
	// the deadlines of its steps.
	restTime = 4 * time.Minute
)

// writes is a program that has a volume and a layer to be moved.
const writes = `test -e /data/kept || { date +%s%N >/data/kept; cp /data/kept /root/kept; chown 7:8 /data/kept /root/kept; }; exec sleep infinity`

// mover starts a container in vm1, with a volume and something written beside it,
// and waits until it answers.
func (r *rig) mover(name, network string) *mover {
	r.t.Helper()
	m := &mover{rig: r, name: name, began: time.Now()}
	var err error
	m.calls, err = client.Open(client.Options{Addresses: []string{"unix://" + r.Socket()}})
	r.must(err)
	r.t.Cleanup(m.calls.Close)
	r.docker(r.node(1), "run", "-d", "--init", "--restart", "always", "--network", "none", "--name", name, "--hostname", "moved",
		"--env", "COLOUR=green", "--volume", name+":/data", "--label", "nicferry.network="+network, lab.ImageName, "sh", "-c", writes)
	m.was = r.eth0(r.node(1), name)
	for _, n := range r.Nodes() {
		r.sh(n, "sync") // else dockerd may lose with the power what was there before the move, such as half an image
	}
	c, err := r.claim(r.t.Context(), name)
	r.must(err)
	m.claim = c.ID
	m.look, m.ports = r.lookout(), r.portsOf(m.was.MAC)
	lan := func(ctx context.Context, program string, args ...string) *exec.Cmd {
		return r.Host().Command(ctx, "ip", append([]string{"netns", "exec", cluster.LAN, program}, args...)...)
	}
	m.peer, err = lab.WatchFrom(context.WithoutCancel(r.t.Context()), lan, m.was.Addr.Addr(), 10*time.Millisecond)
	if err == nil {
		r.t.Cleanup(m.goes)
		err = m.peer.Heard(r.t.Context(), settleTime+sluggish)
	}
	r.must(err)
	return m
}

// goes ends the watching, tells what was seen, and removes the volumes, which the
// lab does not look for.
func (m *mover) goes() {
	ping, silences, err := m.peer.End()
	if err != nil {
		m.t.Error(err)
	}
	m.ports.stop()
	if err := m.look.stop(); err != nil {
		m.t.Error(err)
	}
	for _, wrong := range m.ports.wrong() {
		m.t.Error(wrong)
	}
	for _, wrong := range m.look.both() {
		if !m.together {
			m.t.Error(wrong)
		}
	}
	if len(silences) > 0 {
		m.t.Logf("a peer outside: %s; silent for %s at most", ping, silences[0].For().Round(time.Millisecond))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.t.Context()), endTime)
	defer cancel()
	for _, n := range m.Nodes() {
		_, err := n.Docker(ctx, "rm", "-f", "-v", m.name)
		if err == nil || strings.Contains(err.Error(), "No such container") {
			_, err = n.Docker(ctx, "volume", "rm", "-f", m.name)
		}
		if err != nil {
			m.t.Error(err)
		}
	}
}

// tell logs with the time since the container was asked for.
func (m *mover) tell(format string, args ...any) {
	m.t.Helper()
	m.t.Logf("%6.1f s  %s", time.Since(m.began).Seconds(), fmt.Sprintf(format, args...))
}

// migrate moves it as a person would, with all that it has, and waits for the end.
func (m *mover) migrate(to *cluster.Node) nic.Move {
	m.t.Helper()
	out, err := m.CLI(m.t.Context(), "migrate", m.name, "--to", to.Name, "--volumes", "copy", "--layer", "copy", "-o", "json")
	m.must(err)
	var move nic.Move
	m.must(json.Unmarshal([]byte(out), &move))
	m.tell("%s", migratetest.Tell(move))
	if move.Phase != nic.MoveDone {
		m.t.Fatalf("the move is %s: %s", move.Phase, move.Why)
	}
	return move
}

// settled wants the container to run in that guest alone and to answer from there,
// with what it had, and nothing of it to be in the other guest.
func (m *mover) settled(at *cluster.Node) {
	m.t.Helper()
	begin := time.Now()
	m.until(m.name+" to be on "+at.Name+" alone, as it was", settleTime+sluggish, func(ctx context.Context) error {
		if where := m.look.where(); !m.together && !slices.Equal(where, []string{at.Name}) {
			return fmt.Errorf("containers run in %q", where)
		}
		return m.asItWas(ctx, at)
	})
	m.must(m.peer.Heard(m.t.Context(), settleTime+sluggish))
	m.tell("settled on %s after %.1f s", at.Name, time.Since(begin).Seconds())
	if now := m.eth0(at, m.name); now != m.was {
		m.t.Errorf("eth0 is %+v, and was %+v", now, m.was)
	}
}

// asItWas is an error unless the claim is the same, bound in that guest, with the
// one NIC that there is.
func (m *mover) asItWas(ctx context.Context, at *cluster.Node) error {
	c, err := m.rig.claim(ctx, m.name)
	if err != nil {
		return err
	}
	if c.ID != m.claim || c.Identity.MAC.String() != m.was.MAC || c.Phase != nic.ClaimBound || c.Owner.Node != at.Name {
		return fmt.Errorf("its claim was %s with %s, and is %s with %s, %s of %s: %v", m.claim, m.was.MAC, c.ID, c.Identity.MAC, c.Phase, c.Owner, c.Conditions)
	}
	nics, err := list[api.NICView](ctx, m.Cluster, "nics")
	if err == nil && (len(nics) != 1 || nics[0].Holder != m.claim || nics[0].Node != at.Name) {
		err = fmt.Errorf("its NICs are %v", nics)
	}
	if err != nil {
		return err
	}
	for _, n := range m.Nodes() {
		live, stored := m.cards(n.Name)
		if n != at && len(live)+len(stored) > 0 {
			return fmt.Errorf("%s still has the cards %v live and %v stored", n.Name, live, stored)
		}
		if n == at && (len(live) != 1 || len(stored) != 1 || live[0].MAC.String() != m.was.MAC) {
			return fmt.Errorf("%s has the cards %v live and %v stored, want one with MAC %s", n.Name, live, stored, m.was.MAC)
		}
	}
	return nil
}

// whole wants the container to be what it was, and nothing of it in the other guest
// but for the volume that it left there.
func (m *mover) whole(at *cluster.Node) {
	m.t.Helper()
	const look = `hostname; echo $COLOUR; stat -c '%u %g' /data/kept /root/kept; cmp /data/kept /root/kept && wc -l </data/kept`
	if out := m.docker(at, "exec", m.name, "sh", "-c", look); out != "moved\ngreen\n7 8\n7 8\n1" {
		m.t.Errorf("on %s it has %q", at.Name, out)
	}
	if policy := m.docker(at, "inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", m.name); policy != "always" {
		m.t.Errorf("on %s its restart policy is %q", at.Name, policy)
	}
	for _, n := range m.Nodes() {
		if n == at {
			continue
		}
		m.until(m.name+" to be gone from "+n.Name, settleTime+sluggish, func(ctx context.Context) error {
			out, err := n.Docker(ctx, "ps", "-aq", "--filter", "name=^"+m.name+"$")
			if err == nil && n == m.node(2) { // where the volume was made for the move
				var volumes string
				volumes, err = n.Docker(ctx, "volume", "ls", "-q", "--filter", "name="+m.name)
				out += volumes
			}
			if err == nil && out != "" {
				err = fmt.Errorf("there is %q", out)
			}
			return err
		})
	}
}
