//go:build linux

package migrate_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settled is how long a move may take to come to rest after a harm.
const settled = 30 * time.Second

// everything is a move with every step.
func everything() nic.MoveRequest {
	return nic.MoveRequest{Container: "web", To: "vm2", Options: nic.MoveOptions{
		Volumes: nic.CopyCopy, Layer: nic.CopyCopy, Wait: nic.Duration(10 * time.Second),
	}}
}

// begin begins a move, as often as it takes until a controller is there.
func (w *world) begin(request nic.MoveRequest) nic.MoveID {
	w.t.Helper()
	move, err := w.mover().Begin(w.t.Context(), request)
	if err != nil {
		w.t.Fatalf("begin: %v", err)
	}
	return move.ID
}

func (w *world) move(id nic.MoveID) nic.Move {
	move, _, err := store.GetJSON[nic.Move](w.t.Context(), w.store, "move/"+string(id))
	if err != nil {
		w.t.Error(err)
	}
	return move
}

// latest is the move that was begun last.
func (w *world) latest() (m nic.Move) {
	all, _, err := store.ListJSON[nic.Move](w.t.Context(), w.store, "move/", "", 0)
	if err == nil && len(all) > 0 {
		m = all[len(all)-1].Value
	}
	return m
}

// rest wants the container to run on one node alone, reachable, and nothing of the
// move to be left.
func (w *world) rest(m nic.Move) {
	w.t.Helper()
	at, id := "vm1", w.web
	if m.Phase == nic.MoveDone {
		at, id = "vm2", m.TargetSandbox
	}
	w.until(settled, "reachable on "+at, func() bool { return w.reachable(at, id) })
	time.Sleep(5 * time.Second) // what else was to come has come
	claim, _, err := store.GetJSON[nic.Claim](w.t.Context(), w.store, "claim/"+string(w.claim))
	if err != nil || claim.Phase != nic.ClaimBound || claim.Owner.Node != at || claim.Owner.Sandbox != id || claim.Move != nil || len(claim.Conditions) > 0 {
		w.t.Errorf("the claim is %+v, %v", claim, err)
	}
	w.sound()
	w.engines.Lock()
	defer w.engines.Unlock()
	here, there := w.nodes[at], w.nodes[other(at)]
	box := here.boxes[id]
	if box == nil || !box.running || box.policy != "always" || box.layer != "written" || here.volumes["data"] != "kept" {
		w.t.Errorf("on %s it is %+v with volumes %v", at, box, here.volumes)
	}
	for _, b := range there.boxes {
		w.t.Errorf("on %s is left %+v", there.name, b)
	}
	if _, left := there.volumes["data"]; left != (at == "vm2") {
		w.t.Errorf("on %s the volumes are %v", there.name, there.volumes)
	}
	for _, prefix := range []string{"moveclaim/", "moveask/", "moving/"} {
		if left, _, err := w.store.List(w.t.Context(), prefix, "", 0); err != nil || len(left) > 0 {
			w.t.Errorf("in the store is left %s, %v", left[0].Key, err)
		}
	}
	tasks, _, err := store.ListJSON[nic.Task](w.t.Context(), w.store, "task/", "", 0)
	for _, r := range tasks {
		if t := r.Value; !t.State.Over() || !t.Outlives && !w.unswept {
			w.t.Errorf("in the store is left %+v", t)
		}
	}
	if err != nil {
		w.t.Error(err)
	}
}

// A play is one case at work.
type play struct {
	*world
	migratetest.Case
	late bool // the harm is done after the first effect of the step, not before
	id   nic.MoveID

	struck atomic.Bool
	at     atomic.Int64 // when, in ns of the bubble's time
	healed atomic.Bool
}

// on is told of what happens, and does the harm when it is time.
func (p *play) on(e what) error {
	m := p.latest()
	s := migratetest.Step(m, p.Step)
	switch p.Harm {
	case migratetest.Fails:
		if s.State != nic.StepDoing || p.healed.Load() || e.after != p.late || !p.of(e) {
			return nil
		}
		p.strike()
		if p.Forward && s.Tries > 3 {
			p.healed.Store(true)
		}
		return errHarm
	case migratetest.FailsBack:
		return p.failBack(e, m, s)
	}
	if s.State == nic.StepDoing && e.after == p.late && p.of(e) && !p.struck.Load() {
		return p.hurt(e)
	}
	return nil
}

var errHarm = errors.New("harm is done")

// of says whether something belongs to the step at work.
func (p *play) of(e what) bool {
	if e.call == "" {
		return true
	}
	switch p.Step {
	case migrate.StepFence:
		return e.call == "begin"
	case migrate.StepNICOut:
		return e.call == "bring" || e.call == "await"
	}
	return true
}

// failBack has the last step before the pivot fail, and then that which takes this
// one back.
func (p *play) failBack(e what, m nic.Move, s nic.MoveStep) error {
	if p.healed.Load() || e.after != p.late {
		return nil
	}
	if h := migratetest.Step(m, migrate.StepHealth); h.State == nic.StepDoing {
		return errHarm
	}
	if s.State == nic.StepUndoing {
		p.strike()
		return errHarm
	}
	return nil
}

func (p *play) strike() {
	if !p.struck.Swap(true) {
		p.at.Store(time.Now().UnixNano())
	}
}

// hurt does what is done once. What it hits ends there.
func (p *play) hurt(e what) error {
	p.strike()
	source, target := p.nodes["vm1"], p.nodes["vm2"]
	switch p.Harm {
	case migratetest.KillController:
		p.crashController()
		if e.call != "" {
			return context.Canceled
		}
	case migratetest.KillSource:
		source.kill()
	case migratetest.KillTarget:
		target.kill()
	case migratetest.LoseSource:
		source.lose()
	case migratetest.LoseTarget:
		target.lose()
	case migratetest.MuteSource:
		source.mute.Store(true)
	case migratetest.MuteTarget:
		target.mute.Store(true)
	}
	return nil
}

// heal makes good what can be.
func (p *play) heal() {
	p.healed.Store(true)
	switch p.Harm {
	case migratetest.LoseSource:
		p.nodes["vm1"].back()
	case migratetest.LoseTarget:
		p.nodes["vm2"].back()
	case migratetest.MuteSource:
		p.nodes["vm1"].mute.Store(false)
	case migratetest.MuteTarget:
		p.nodes["vm2"].mute.Store(false)
	}
}

// run plays the case, and says how it ended and how long that took.
func (p *play) run() (outcome string, took time.Duration) {
	p.t.Helper()
	on := p.on
	p.event.Store(&on)
	p.id = p.begin(everything())
	var m nic.Move
	p.until(5*time.Minute, "the move rests", func() bool {
		m = p.move(p.id)
		return p.struck.Load() && p.rests(m)
	})
	took = time.Duration(time.Now().UnixNano() - p.at.Load())
	p.heal()
	if m.Phase == nic.MoveParked {
		outcome = "parked, "
		p.remedy(m)
	}
	p.until(5*time.Minute, "the move is over", func() bool { m = p.move(p.id); return m.Phase.Over() })
	if p.t.Failed() {
		p.t.Log(p.tell())
	}
	return outcome + string(m.Phase), took
}

// bound is how long the case may take until the move rests. A stream is given up
// when nothing has come for half a minute, and only then the undoing begins.
func (p *play) bound() time.Duration {
	stream := slices.Contains([]string{migrate.StepImage, migrate.StepCreate, migrate.StepVolumes, migrate.StepLayer}, p.Step)
	if stream && (p.Harm == migratetest.MuteSource || p.Harm == migratetest.MuteTarget) {
		return 2 * settled
	}
	return settled
}

// rests: nothing more happens without somebody's doing.
func (p *play) rests(m nic.Move) bool {
	lost := p.Harm == migratetest.LoseSource || p.Harm == migratetest.LoseTarget || p.Harm == migratetest.MuteSource || p.Harm == migratetest.MuteTarget
	waits := m.Phase == nic.MoveFinishing && lost && time.Now().UnixNano()-p.at.Load() > int64(20*time.Second)
	return m.Phase.Over() || m.Phase == nic.MoveParked || waits
}

// remedy does what the parked move says would help.
func (p *play) remedy(m nic.Move) {
	p.t.Helper()
	if m.Why == "" {
		p.t.Error("parked for no reason")
	}
	if p.Step != migrate.StepFence || p.Harm != migratetest.Fails {
		p.until(5*time.Second, "its claim shows that", func() bool {
			claim, _, err := store.GetJSON[nic.Claim](p.t.Context(), p.store, "claim/"+string(p.world.claim))
			return err == nil && claim.Phase == nic.ClaimParked
		})
	}
	do := p.mover().Abort
	switch {
	case strings.Contains(m.Remedy, "nicferry migrate --abort "+string(m.ID)):
	case strings.Contains(m.Remedy, "nicferry migrate --resume "+string(m.ID)):
		do = p.mover().Resume
	default:
		p.t.Fatalf("no command in remedy %q", m.Remedy)
	}
	time.Sleep(2 * time.Second) // the agent is there again
	if _, err := do(p.t.Context(), m.ID); err != nil {
		p.t.Errorf("%s: %v", m.Remedy, err)
	}
}

// planned are the steps of a move that has all.
func planned(t *testing.T) (steps []nic.PlannedStep) {
	bubble(t, provider.Carry, func(t *testing.T, w *world) {
		plan, err := w.mover().Plan(t.Context(), everything())
		if err != nil || len(plan.Refusals) > 0 {
			t.Fatalf("plan: %v, %v", err, plan.Refusals)
		}
		steps = plan.Steps
	})
	return steps
}

// casesOf are the cases of a move that goes that way: reserve is a step of one alone.
func casesOf(travel provider.Travel, cases []migratetest.Case) []migratetest.Case {
	if travel != provider.Readdress {
		return cases
	}
	return append(slices.Clone(cases), migratetest.Cases([]nic.PlannedStep{{Name: migrate.StepReserve}})...)
}

// TestF64_EveryWayToFail does each harm at each step of a move, before its first
// effect and after. Never do both containers run; at the end one does, whole and
// reachable, or the move is parked and what it says would help does.
func TestF64_EveryWayToFail(t *testing.T) {
	cases := migratetest.Cases(planned(t))
	done, all, passed, worst := 0, 0, 0, map[time.Duration]time.Duration{}
	outcomes := map[string]int{}
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild, provider.Readdress} {
		for _, c := range casesOf(travel, cases) {
			if travel != provider.Carry && !slices.Contains([]string{migrate.StepReserve, migrate.StepNICOut, migrate.StepStart, migrate.StepNICIn, migrate.StepPivot}, c.Step) {
				continue // in which there is no difference
			}
			for _, late := range []bool{false, true} {
				if passed++; passed%oneIn != 0 {
					continue
				}
				all++
				name := fmt.Sprintf("%s/%s/%s", travel, c, map[bool]string{false: "early", true: "late"}[late])
				ok := t.Run(name, func(t *testing.T) {
					bubble(t, travel, func(t *testing.T, w *world) {
						p := &play{world: w, Case: c, late: late}
						outcome, took := p.run()
						if took > p.bound() {
							t.Errorf("at rest after %v", took)
						}
						worst[p.bound()] = max(worst[p.bound()], took)
						outcomes[outcome]++
						w.rest(w.move(p.id))
					})
				})
				if ok {
					done++
				}
			}
		}
	}
	t.Logf("%d of %d; at rest after at most %v, and where an agent stops in the middle of a stream %v; %v",
		done, all, worst[settled], worst[2*settled], outcomes)
}

// A container that does not run moves too, and does not run there either.
func TestAStoppedContainerMoves(t *testing.T) {
	for _, way := range []struct {
		fails  bool
		travel provider.Travel
	}{{false, provider.Carry}, {true, provider.Carry}, {false, provider.Rebuild}, {true, provider.Rebuild}} {
		fails := way.fails
		t.Run(fmt.Sprintf("%s fails=%v", way.travel, fails), func(t *testing.T) {
			bubble(t, way.travel, func(t *testing.T, w *world) {
				w.engines.Lock()
				w.nodes["vm1"].boxes[w.web].running = false
				w.engines.Unlock()
				w.until(time.Minute, "its NIC is out", func() bool {
					at, err := w.alloc().Whereabouts(t.Context(), []nic.ClaimID{w.claim})
					return err == nil && !at[0].Running
				})
				on := func(e what) error {
					if fails && e.call == "finish" {
						return errHarm
					}
					return nil
				}
				w.event.Store(&on)
				request := everything()
				request.Options.Wait = 0
				id := w.begin(request)
				w.until(2*time.Minute, "the move is over", func() bool { return w.move(id).Phase.Over() })
				m := w.move(id)
				at := map[nic.MovePhase]string{nic.MoveDone: "vm2", nic.MoveUndone: "vm1"}[m.Phase]
				if want := map[bool]string{false: "vm2", true: "vm1"}[fails]; at != want {
					t.Errorf("the move is %s: %s", m.Phase, m.Why)
				}
				pivot := m.Steps[slices.IndexFunc(m.Steps, func(s nic.MoveStep) bool { return s.Pivot })]
				if !fails && pivot.Tries != 1 {
					t.Errorf("the pivot did not wait for the NICs: %d tries", pivot.Tries)
				}
				if !m.SilentFrom.IsZero() {
					t.Errorf("silent from %v", m.SilentFrom)
				}
				w.engines.Lock()
				defer w.engines.Unlock()
				if n := len(w.nodes[at].boxes); n != 1 || len(w.nodes[at].runs()) > 0 || len(w.nodes[other(at)].boxes) > 0 {
					t.Errorf("on %s are %d containers, %q run; elsewhere %d", at, n, w.nodes[at].runs(), len(w.nodes[other(at)].boxes))
				}
			})
		})
	}
}

// NICs move from a container to one that runs elsewhere, or stay whole.
func TestNICsMoveToAStandBy(t *testing.T) {
	for _, way := range []struct {
		fails  string
		travel provider.Travel
	}{{"", provider.Carry}, {"aim", provider.Carry}, {"finish", provider.Carry}, {"", provider.Readdress}, {"finish", provider.Readdress}} {
		fails := way.fails
		t.Run(fmt.Sprintf("%s fails=%s", way.travel, fails), func(t *testing.T) {
			bubble(t, way.travel, func(t *testing.T, w *world) {
				spare := sandbox("c001")
				w.engines.Lock()
				w.nodes["vm2"].boxes[spare] = &box{id: spare, name: "spare", running: true}
				w.engines.Unlock()
				on := func(e what) error {
					if e.call != "" && e.call == fails {
						return errHarm
					}
					return nil
				}
				w.event.Store(&on)
				id := w.begin(nic.MoveRequest{Kind: nic.MoveNIC, Container: "web", To: "vm2", Target: "spare"})
				w.until(2*time.Minute, "the move is over", func() bool { return w.move(id).Phase.Over() })
				at, box := "vm2", spare
				if fails != "" {
					at, box = "vm1", w.web
				}
				w.until(settled, "reachable on "+at, func() bool { return w.reachable(at, box) })
				w.sound()
				if m := w.move(id); (m.Phase == nic.MoveDone) != (fails == "") {
					t.Errorf("the move is %s: %s", m.Phase, m.Why)
				}
				w.engines.Lock()
				defer w.engines.Unlock()
				if a, b := w.nodes["vm1"].runs(), w.nodes["vm2"].runs(); !slices.Equal(a, []string{w.web}) || !slices.Equal(b, []string{spare}) {
					t.Errorf("there run %q and %q", a, b)
				}
			})
		})
	}
}

func TestAContainerMoves(t *testing.T) {
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild, provider.Readdress} {
		t.Run(string(travel), func(t *testing.T) {
			bubble(t, travel, func(t *testing.T, w *world) {
				id := w.begin(everything())
				w.until(time.Minute, "the move is done", func() bool { return w.move(id).Phase == nic.MoveDone })
				m := w.move(id)
				if silent := m.SilentTo.Sub(m.SilentFrom); silent <= 0 || silent > 5*time.Second {
					t.Errorf("silent for %v", silent)
				}
				for _, s := range m.Steps {
					if s.Bytes != s.Total && s.Name != migrate.StepImage || s.Tries != 1 {
						t.Errorf("step %s: %d of %d bytes, %d tries", s.Name, s.Bytes, s.Total, s.Tries)
					}
				}
				w.rest(m)
			})
		})
	}
}

// The NIC that an address was on is deleted by hand during a move that fails then. The
// container is whole again on its node, with another address.
func TestAMoveTurnsBackToANICThatIsDeleted(t *testing.T) {
	for _, request := range []nic.MoveRequest{everything(), {Kind: nic.MoveNIC, Container: "web", To: "vm2", Target: "spare"}} {
		t.Run(cmp.Or(string(request.Kind), "container"), func(t *testing.T) {
			bubble(t, provider.Readdress, func(t *testing.T, w *world) {
				if request.Kind == nic.MoveNIC {
					w.engines.Lock()
					w.nodes["vm2"].boxes[sandbox("c001")] = &box{id: sandbox("c001"), name: request.Target, running: true}
					w.engines.Unlock()
				}
				on := func(e what) error {
					if e.call != "finish" {
						return nil
					}
					all, err := w.cloud.List(t.Context())
					for _, n := range all {
						if n.Place.Node == "vm1" {
							err = errors.Join(err, w.cloud.Detach(t.Context(), n.NIC, "vm1"))
							time.Sleep(time.Second)
							err = errors.Join(err, w.cloud.Delete(t.Context(), n.NIC))
						}
					}
					return errors.Join(err, errHarm)
				}
				w.event.Store(&on)
				id := w.begin(request)
				w.until(2*time.Minute, "the move is over", func() bool { return w.move(id).Phase.Over() })
				if m := w.move(id); m.Phase != nic.MoveUndone {
					t.Errorf("the move is %s: %s", m.Phase, m.Why)
				}
				w.until(settled, "reachable on vm1", func() bool { return w.reachable("vm1", w.web) })
				w.sound()
			})
		})
	}
}
