//go:build linux

package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
var everything = nic.MoveOptions{Volumes: nic.CopyCopy, Layer: nic.CopyCopy, Wait: nic.Duration(10 * time.Second)}

// writes is a program that has a volume and a layer to be moved, and then answers.
const writes = `test -e /data/kept || { echo $0 $$ > /data/kept; date +%s%N >> /data/kept; cp /data/kept /root/kept; chown 7:8 /data/kept /root/kept; }; exec /bin/echo-server`

// matrixScene is a container with everything that a move can carry.
func (r *rig) matrixScene(t *testing.T) *scene {
	t.Helper()
	return r.scene(t, "both", []string{"--volume", "%s:/data"}, "sh", "-c", writes)
}

// TestF64_Matrix does each harm at each step of a move, and wants the container to
// run on one machine within 30 s, or its move to be parked with a command that works
// once the harm is over. Never does it run on both.
func TestF64_Matrix(t *testing.T) {
	r := newRig(t)
	var steps []nic.PlannedStep
	t.Run("plan", func(t *testing.T) { steps = r.steps(t) })
	done := 0
	outcomes := map[string]int{}
	begin := time.Now()
	cases := slices.DeleteFunc(migratetest.Cases(steps), func(c migratetest.Case) bool {
		made := calls[c.Step]
		return c.Harm == migratetest.Fails && made.do.at == "" || c.Harm == migratetest.FailsBack && made.undo.at == ""
	})
	for _, each := range cases {
		ok := t.Run(each.String(), func(t *testing.T) {
			c := &harmed{scene: r.matrixScene(t), Case: each}
			outcomes[c.play()]++
			done++
		})
		if !ok {
			t.Fatalf("%d of %d in %s; then %s failed, and the rig may not be as it should", done, len(cases), time.Since(begin), each)
		}
	}
	t.Logf("%d of %d in %s: %v", done, len(cases), time.Since(begin).Round(time.Second), outcomes)
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
	if _, err := r.vm2.Docker(t.Context(), "rmi", "-f", echoImage); err != nil && !strings.Contains(err.Error(), "No such image") {
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
	c.t.Logf("%5.1f s  %s", time.Since(c.began).Seconds(), tell(c.last))
	c.do(err)
	c.do(<-harmed)
	if s := step(c.last, c.Step); c.Harm == migratetest.Fails && s.Error == "" && s.Tries < 2 {
		c.t.Errorf("%s should have failed, and has not: %s", c.Step, tell(c.last))
	}
	heal()
	if c.last.Phase == nic.MoveParked {
		outcome = "parked, then "
		c.remedy()
	}
	return outcome + c.ends()
}

// rested says whether the move needs no more waiting: it is over, or parked, or
// past its pivot with a machine lost that it waits for, and says so.
func (c *harmed) rested(m nic.Move) bool {
	waits := func(s nic.MoveStep) bool { return s.Error != "" && s.State == nic.StepDoing }
	return m.Phase.Over() || m.Phase == nic.MoveParked || m.Phase == nic.MoveFinishing && (c.lost.Load() != nil || c.silent.Load() != nil) && slices.ContainsFunc(m.Steps, waits)
}

// remedy runs what the parked move says would help.
func (c *harmed) remedy() {
	c.t.Helper()
	if c.last.Why == "" || c.last.Remedy == "" {
		c.t.Fatalf("parked without a reason or a remedy: %s", tell(c.last))
	}
	words := strings.Fields(c.last.Remedy)
	i := slices.Index(words, "nicferry")
	if i < 0 {
		c.t.Fatalf("no command in remedy %q", c.last.Remedy)
	}
	var args []string
	for _, w := range words[i+1:] {
		if args = append(args, strings.Trim(w, ",;.`'\"")); strings.HasPrefix(w, string(c.id)) {
			break
		}
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
		c.t.Fatalf("%v\n%s", err, tell(c.last))
	}
	at, not := c.vm2, c.vm1
	if c.last.Phase == nic.MoveUndone {
		at, not = c.vm1, c.vm2
	}
	c.settled(at)
	c.whole(at)
	c.gone(not)
	c.t.Logf("%5.1f s  %s", time.Since(c.began).Seconds(), tell(c.last))
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
