//go:build linux

package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
)

// A call is one that an agent makes of Docker.
type call struct {
	at   string // vm1 is where the container comes from
	what string
	skip int // so many of these come before it, in other steps
}

// calls are those that are made in a step, and those that take it back. A step that
// has none is a matter of the controller or of the kernel alone: it is failed in
// package migrate, and here its daemons and machines are ended.
var calls = map[string]struct{ do, undo call }{
	migrate.StepRestartsOff: {call{at: "vm1", what: `POST /containers/[^/]+/update`}, call{at: "vm1", what: `POST /containers/[^/]+/update`}},
	migrate.StepImage:       {call{at: "vm2", what: `POST /images/load`}, call{}},
	migrate.StepCreate:      {call{at: "vm2", what: `POST /containers/create`}, call{at: "vm2", what: `DELETE /containers/`}},
	migrate.StepStop:        {call{at: "vm1", what: `POST /containers/[^/]+/stop`}, call{at: "vm1", what: `POST /containers/[^/]+/start`}},
	migrate.StepVolumes:     {call{at: "vm2", what: `GET /containers/json.*"volume"`}, call{}},
	migrate.StepLayer:       {call{at: "vm2", what: `GET /containers/json.*nicferry.move`}, call{}},
	migrate.StepStart:       {call{at: "vm2", what: `POST /containers/[^/]+/start`}, call{at: "vm2", what: `POST /containers/[^/]+/stop`}},
	migrate.StepRestartsOn:  {call{at: "vm2", what: `POST /containers/[^/]+/update`}, call{}},
	migrate.StepDrop:        {call{at: "vm1", what: `DELETE /containers/`}, call{}},
}

// everything is a move with all steps.
var everything = nic.MoveOptions{Volumes: nic.CopyCopy, Layer: nic.CopyCopy, Wait: nic.Duration(10 * time.Second), Grace: nic.Duration(time.Second)}

// writes is a program that has a volume and a layer to be moved, and then answers.
const writes = `test -e /data/kept || { echo $0 $$ > /data/kept; date +%s%N >> /data/kept; cp /data/kept /root/kept; chown 7:8 /data/kept /root/kept; }; exec /bin/echo-server`

// matrixScene is a container with everything that a move can carry.
func (r *rig) matrixScene(t *testing.T) *scene {
	t.Helper()
	return r.scene(t, "both", []string{"--volume", "%s:/data"}, "sh", "-c", writes)
}

// rigs is how many are at work at once: most of the time they wait for a machine
// that does not answer. busy is how many do what keeps the processors at work.
const rigs, busy = 6, 2

// TestF64_Matrix does each harm at each step of a move, and wants the container to
// run on one machine within 30 s, or its move to be parked with a command that works
// once the harm is over. Never does it run on both.
func TestF64_Matrix(t *testing.T) {
	first := newRig(t)
	var steps []nic.PlannedStep
	t.Run("plan", func(t *testing.T) { steps = first.steps(t) })
	cases := slices.DeleteFunc(migratetest.Cases(steps), func(c migratetest.Case) bool {
		made := calls[c.Step]
		return c.Harm == migratetest.Fails && made.do.at == "" || c.Harm == migratetest.FailsBack && made.undo.at == ""
	})
	slowFirst := func(a, b migratetest.Case) int { return cmp.Compare(slow(b), slow(a)) }
	m := &matrix{t: t, cases: slices.SortedStableFunc(slices.Values(cases), slowFirst), outcomes: map[string]int{}}
	begin := time.Now()
	var workers sync.WaitGroup
	workers.Go(func() { m.work(first, 0) })
	for i := range rigs - 1 {
		workers.Go(func() { m.work(newRig(t), i+1) })
	}
	workers.Wait()
	t.Logf("%d of %d in %s: %v", m.good, len(cases), time.Since(begin).Round(time.Second), m.outcomes)
}

// slow is 1 for a case that waits long.
func slow(c migratetest.Case) int {
	switch c.Harm {
	case migratetest.LoseSource, migratetest.LoseTarget, migratetest.MuteSource, migratetest.MuteTarget:
		return 1
	}
	return 0
}

// A matrix is the cases that are to be played, and what came of the others.
type matrix struct {
	t *testing.T

	mu       sync.Mutex
	cases    []migratetest.Case
	good     int
	outcomes map[string]int
}

// next takes a case; false if none is left for the worker of the number.
func (m *matrix) next(worker int) (migratetest.Case, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.cases) == 0 || slow(m.cases[0]) == 0 && worker >= busy {
		return migratetest.Case{}, false
	}
	next := m.cases[0]
	m.cases = m.cases[1:]
	return next, true
}

// work plays cases on a rig until none is left. After one that failed it takes
// another rig: the old one may not be as it should.
func (m *matrix) work(r *rig, worker int) {
	for {
		next, ok := m.next(worker)
		if !ok {
			return
		}
		ok = m.t.Run(next.String(), func(t *testing.T) {
			c := &harmed{scene: r.matrixScene(t), Case: next}
			outcome := c.play()
			m.mu.Lock()
			defer m.mu.Unlock()
			m.good++
			m.outcomes[outcome]++
		})
		if !ok {
			r.broken = true
			m.t.Logf("after %s:\n%s", next, r.Logs())
			r = newRig(m.t)
		}
	}
}

// steps are those of a move that has all.
func (r *rig) steps(t *testing.T) []nic.PlannedStep {
	s := r.matrixScene(t)
	r.forgetImage(t)
	var plan nic.MovePlan
	s.do(r.call(t.Context(), "POST", "/v1/moves/plan", nic.MoveRequest{Container: s.name, To: "vm2", Options: everything}, &plan))
	if len(plan.Refusals) > 0 {
		t.Fatalf("refused: %v", plan.Refusals)
	}
	return plan.Steps
}

// forgetImage takes the image away from vm2, so that it has to be brought.
func (r *rig) forgetImage(t *testing.T) {
	t.Helper()
	// It may have come from vm1: then it is called so.
	if _, err := r.vm2.Docker(t.Context(), "rmi", "-f", echoImage, "nicferry.moved/"+echoImage); err != nil && !strings.Contains(err.Error(), "No such image") {
		t.Fatal(err)
	}
}

// A harmed is one case.
type harmed struct {
	*scene
	migratetest.Case

	id     nic.MoveID
	lost   atomic.Pointer[fleet.Agent] // is off
	silent atomic.Pointer[fleet.Agent] // its agent sleeps
	last   nic.Move
}

// play moves the container from vm1 to vm2, does the harm, and says how it ended.
func (c *harmed) play() (outcome string) {
	if c.Step == migrate.StepImage {
		c.forgetImage(c.t)
	}
	hurt, heal := c.prepare()
	c.id = c.move(nic.MoveRequest{To: "vm2", Options: everything})
	harmed := make(chan error, 1)
	go func() { harmed <- hurt() }()
	ctx, cancel := context.WithTimeout(c.t.Context(), settleTime)
	defer cancel()
	err := c.follow(ctx, c.id, func(m nic.Move) bool { c.last = m; return c.rested(m) })
	c.t.Logf("%5.1f s  %s", time.Since(c.began).Seconds(), migratetest.Tell(c.last))
	c.do(err)
	c.do(<-harmed)
	if s := migratetest.Step(c.last, c.Step); c.Harm == migratetest.Fails && s.Error == "" && s.Tries < 2 {
		c.t.Errorf("%s should have failed, and has not: %s", c.Step, migratetest.Tell(c.last))
	}
	if c.last.Phase == nic.MoveFinishing && c.lost.Load() != c.vm2 {
		c.do(c.serves())
	}
	heal()
	if c.last.Phase == nic.MoveParked {
		outcome = "parked, then "
		c.remedy()
	}
	return outcome + c.ends()
}

// rested says whether the move needs no more waiting: it is over, or parked, or
// beyond its pivot, where it may wait for a machine for ever.
func (c *harmed) rested(m nic.Move) bool {
	harmed := c.lost.Load() != nil || c.silent.Load() != nil
	return m.Phase.Over() || m.Phase == nic.MoveParked || m.Phase == nic.MoveFinishing && harmed
}

// serves wants the container to run on the target alone, and to answer.
func (c *harmed) serves() error {
	err := fleet.Until(c.t.Context(), c.name+" to run on vm2 alone", func() error {
		if where := c.places.where(c.name); len(where) != 1 || where[0] != "vm2" {
			return fmt.Errorf("it runs on %q", where)
		}
		return nil
	})
	if err == nil {
		err = c.peer.heard(c.t.Context(), settleTime)
	}
	return err
}

// remedy runs what the parked move says would help.
func (c *harmed) remedy() {
	c.t.Helper()
	args := migratetest.Remedy(c.last)
	if args == nil {
		c.t.Fatalf("parked without a reason or a command: %s", migratetest.Tell(c.last))
	}
	out, err := c.CLI(c.t.Context(), args...)
	c.t.Logf("%5.1f s  nicferry %s: %v\n%s", time.Since(c.began).Seconds(), strings.Join(args, " "), err, out)
}

// ends waits until the move is over, and wants the container where that says.
func (c *harmed) ends() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), settleTime)
	defer cancel()
	err := c.follow(ctx, c.id, func(m nic.Move) bool { c.last = m; return m.Phase.Over() })
	if err != nil {
		c.t.Fatalf("%v\n%s", err, migratetest.Tell(c.last))
	}
	at, not := c.vm2, c.vm1
	if c.last.Phase == nic.MoveUndone {
		at, not = c.vm1, c.vm2
	}
	c.settled(at)
	c.whole(at)
	c.gone(not)
	c.t.Logf("%5.1f s  %s", time.Since(c.began).Seconds(), migratetest.Tell(c.last))
	return string(c.last.Phase)
}

// whole wants the container to be what it was.
func (c *harmed) whole(at *fleet.Agent) {
	c.t.Helper()
	out, err := at.Docker(c.t.Context(), "exec", c.name, "sh", "-c", `hostname; echo $COLOUR; stat -c '%u %g' /data/kept /root/kept; cmp /data/kept /root/kept && wc -l < /data/kept`)
	c.do(err)
	if want := "echo\ngreen\n7 8\n7 8\n2\n"; out != want {
		c.t.Errorf("on %s it has %q, want %q", at.Name, out, want)
	}
	policy, err := at.Docker(c.t.Context(), "inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", c.name)
	c.do(err)
	if strings.TrimSpace(policy) != "always" {
		c.t.Errorf("on %s its restart policy is %q", at.Name, policy)
	}
}

// gone wants nothing of the container to be on the other machine, but for the
// volume of the one that it left.
func (c *harmed) gone(at *fleet.Agent) {
	c.t.Helper()
	c.do(fleet.Until(c.t.Context(), c.name+" to be gone from "+at.Name, func() error {
		out, err := at.Docker(c.t.Context(), "ps", "-aq", "--filter", "name="+c.name)
		if err == nil && at == c.vm2 {
			var volumes string
			volumes, err = at.Docker(c.t.Context(), "volume", "ls", "-q", "--filter", "name="+c.name)
			out += volumes
		}
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("there is %q", out)
		}
		return err
	}))
}
