//go:build linux

package tasks

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/containers"
	"github.com/nicferry/nicferry/vmagent/vmagenttest"
)

// A site is a controller for a whole agent: orders come from its desk, and it wants
// what the test says.
type site struct {
	*wire
	*vmagenttest.Director
	t      *testing.T
	docker func(args ...string) string
	engine *containers.Engine
}

// await is when the node has said so of a NIC.
func (s *site) await(w nic.Wanted, state nic.ObservedState) time.Time {
	s.t.Helper()
	_, at := s.Await(s.t, w, state)
	return at
}

// order gives a task and waits until it is done.
func (s *site) order(task nic.Task) nic.Task {
	s.t.Helper()
	task.Move = move
	s.desk.order(task)
	s.Wake() // as the controller's feed does
	for late := time.Now().Add(time.Minute); !s.task(task.ID).State.Over(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			s.t.Fatalf("waited a minute for %+v", s.task(task.ID))
		}
	}
	got := s.task(task.ID)
	if got.State != nic.TaskDone {
		s.t.Fatalf("%s: %s", task.ID, got.Error)
	}
	return got
}

const move = "mov-0123456789abcdef"

// newSite starts a whole agent over a real engine.
func newSite(t *testing.T) *site {
	t.Helper()
	rig := labtest.Engine(t)
	s := &site{wire: &wire{newDesk(), 1}, Director: vmagenttest.NewDirector(), t: t}
	s.docker = func(args ...string) string {
		t.Helper()
		out, err := rig.Docker(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	engine, err := containers.Open(t.Context(), containers.Options{Socket: rig.Socket(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.engine = engine
	host, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	conflict := func(err error) bool { return errors.Is(err, errConflicting) }
	agent, err := vmagent.New(vmagent.Options{
		Node: "a", Controller: s, Engine: engine, Host: host, RunDir: t.TempDir(), Log: log, Superseded: conflict,
		Orders: New(Options{
			Node: "a", Controller: s, Engine: engine, Moves: true, Superseded: conflict,
			Refused: func(err error) bool { return errors.Is(err, errUnknown) }, Log: log,
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(agent.Run(ctx), agent.Close()) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, engine.Close(), host.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// card is a wish for a NIC in a container.
func card(id nic.ID, sandbox string) nic.Wanted {
	return nic.Wanted{
		NIC: id, Claim: "clm-0123456789abcdef", Epoch: 1, Network: "lan",
		Device: nic.Device{Kind: nic.Veth, MAC: nic.MAC{2, 0, 0, 0, 0x77, 1}, Bridge: nic.Bridge{Name: "nf-lan", Owned: true}},
		Owner:  nic.Owner{Node: "a", Kind: nic.OwnerContainer, Sandbox: sandbox, Interface: "eth0"},
		Layer3: nic.Layer3{Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.9.5/24")}},
	}
}

// A container moves to another of the same engine by the orders that a move gives,
// and its NIC with it. How long the node took after the container's end is in the
// log of the test.
func TestOrdersOnARealEngine(t *testing.T) {
	s := newSite(t)
	id := s.docker("run", "--detach", "--init", "--network=none", "--name=web", "--restart=always", "--env=PASSWORD=hunter2", lab.ImageName)
	old := card("nic-0000000000000001", id)
	s.Want(old)
	s.await(old, nic.ObservedIn)

	facts := s.order(nic.Task{ID: "describe", Seq: 1, Kind: nic.TaskDescribe, Container: "web"}).Result.Container
	if facts.ID != id || facts.Policy.Name != "always" || !facts.Running {
		t.Errorf("the container is %+v", facts)
	}
	s.order(nic.Task{ID: "restarts-off", Seq: 2, Kind: nic.TaskPolicy, Container: id, Policy: nic.RestartPolicy{Name: "no"}})
	s.desk.order(nic.Task{ID: "config", Move: "mov-00000000000000aa", Seq: 3, Kind: nic.TaskSend, What: nic.StreamConfig, Container: id, Stream: "s"})
	made := s.order(nic.Task{ID: "create", Seq: 4, Kind: nic.TaskCreate, Name: "web2", Stream: "s", Claims: []nic.ClaimID{old.Claim}})
	if env := s.docker("inspect", "--format={{.Config.Env}} {{.HostConfig.RestartPolicy.Name}}", made.Result.Made); !strings.Contains(env, "PASSWORD=hunter2") || !strings.HasSuffix(env, " no") {
		t.Errorf("the new one is made with %s", env)
	}
	s.order(nic.Task{ID: "stop", Seq: 5, Kind: nic.TaskStop, Container: id, Grace: nic.Duration(time.Second)})
	stopped := time.Now()
	gone := old
	gone.Gone, gone.Moves, gone.Epoch = true, true, 2
	s.Want(gone)
	t.Logf("after the container's stop the NIC is clean within %s", s.await(gone, nic.ObservedClean).Sub(stopped))

	s.order(nic.Task{ID: "start", Seq: 6, Kind: nic.TaskStart}) // by its label
	time.Sleep(50 * time.Millisecond)
	there := card("nic-0000000000000002", made.Result.Made)
	there.Epoch, there.Last = 2, old.Layer3.Addrs
	began := time.Now()
	s.Want(there)
	t.Logf("the NIC is in the running container within %s of the wish", s.await(there, nic.ObservedIn).Sub(began))
	if got := s.docker("exec", "web2", "ip", "-o", "addr"); !strings.Contains(got, "eth0    inet 10.77.9.5/24") {
		t.Errorf("in the new container:\n%s", got)
	}
	s.order(nic.Task{ID: "drop", Seq: 7, Kind: nic.TaskRemove, Container: id})
	if got := s.docker("ps", "--all", "--format={{.Names}}"); got != "web2" {
		t.Errorf("there are %s", got)
	}
	s.docker("rm", "--force", "web2")
	there.Gone, there.Epoch = true, 3
	s.Want(there)
	s.await(there, nic.ObservedClean)
}
