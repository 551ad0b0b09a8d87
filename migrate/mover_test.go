package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

func begin(t *testing.T, m *migrate.Mover, request nic.MoveRequest) nic.Move {
	t.Helper()
	move, err := m.Begin(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return move
}

func TestAMoveRunsToItsEnd(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m, end := d.running()
		defer end()
		d.put("web", "a")
		move := d.await(m, begin(t, m, d.request("web", "b")).ID, nic.MoveDone)
		if d.at("web") != "b" || move.Ended.IsZero() || move.From != "a" || move.Why != "" {
			t.Errorf("web is on %s: %+v", d.at("web"), move)
		}
		for _, s := range move.Steps {
			if s.State != nic.StepDone || s.Tries != 1 || s.Ended.Before(s.Began) {
				t.Errorf("step %+v", s)
			}
		}
		d.clean()
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, want := range []string{"normal MoveBegun", "normal MoveStepDone", "normal ContainerMoved", "normal MoveDone"} {
			if !slices.Contains(d.news, want) {
				t.Errorf("no event %q in %v", want, d.news)
			}
		}
		for _, want := range []string{"fence ok 1s", "pivot ok 1s", "moved done"} {
			if !slices.Contains(d.counts, want) {
				t.Errorf("no count %q in %v", want, d.counts)
			}
		}
	}, "a", "b")
}

// A controller that dies at any writing of the record, and at any time between two,
// goes on from there.
func TestF64_AMoveGoesOnAfterACrashAtAnyTime(t *testing.T) {
	for _, c := range []struct {
		fails string
		want  nic.MovePhase
		on    string
	}{{"", nic.MoveDone, "b"}, {"web pivot", nic.MoveUndone, "a"}} {
		for at := 50 * time.Millisecond; at < 4*time.Second; at += 250 * time.Millisecond {
			inDepot(t, func(t *testing.T, d *depot) {
				if c.fails != "" {
					d.fail(c.fails, errors.New("no"))
				}
				d.put("web", "a")
				m, end := d.running()
				id := begin(t, m, d.request("web", "b")).ID
				time.Sleep(at)
				end()
				m, end = d.running()
				defer end()
				move := d.await(m, id, c.want)
				if d.at("web") != c.on || move.Phase == nic.MoveUndone && d.loaded[id] {
					t.Errorf("after a crash at %v web is on %s, %+v", at, d.at("web"), move)
				}
				d.clean()
			}, "a", "b")
		}
	}
}

func TestAFailedMoveSaysWhyAndGoesBack(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m, end := d.running()
		defer end()
		d.put("web", "a")
		d.fail("web pivot", errors.New("there is no way"))
		move := d.await(m, begin(t, m, d.request("web", "b")).ID, nic.MoveUndone)
		if d.at("web") != "a" || move.Why != "step pivot: there is no way" {
			t.Errorf("web is on %s, since %q", d.at("web"), move.Why)
		}
		d.clean()
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, want := range []string{"warning MoveStepFailed", "warning MoveGoesBack", "normal MoveStepUndone", "warning MoveUndone"} {
			if !slices.Contains(d.news, want) {
				t.Errorf("no event %q in %v", want, d.news)
			}
		}
		if want := []string{"fence ok 1s", "pivot failed 1s", "pivot undone 0s", "fence undone 1s", "moved undone"}; !slices.Equal(d.counts, want) {
			t.Errorf("counted %v, want %v", d.counts, want)
		}
	}, "a", "b")
}

func TestF64_AbortIsKeptAcrossACrash(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.put("web", "a")
		idle := d.mover() // nobody runs anything
		id := begin(t, idle, d.request("web", "b")).ID
		for range 2 {
			if _, err := idle.Abort(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		m, end := d.running()
		defer end()
		if move := d.await(m, id, nic.MoveUndone); !strings.Contains(move.Why, "aborted") || d.at("web") != "a" {
			t.Errorf("web is on %s: %q", d.at("web"), move.Why)
		}
		d.clean()
		if _, err := m.Abort(t.Context(), id); err != nil {
			t.Errorf("abort of what is undone: %v", err)
		}
		if _, err := m.Resume(t.Context(), id); !errors.Is(err, migrate.ErrRefused) {
			t.Errorf("resume of what is undone: %v", err)
		}
	}, "a", "b")
}

func TestAbortTurnsTheStepAtWork(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m, end := d.running()
		defer end()
		d.put("web", "a")
		id := begin(t, m, d.request("web", "b")).ID
		time.Sleep(500 * time.Millisecond) // in load
		began := time.Now()
		if _, err := m.Abort(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		d.await(m, id, nic.MoveUndone)
		if took := time.Since(began); took > 1100*time.Millisecond { // the undo's second
			t.Errorf("it took %v", took)
		}
		d.clean()
	}, "a", "b")
}

func TestAbortBeyondThePivotIsRefused(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m, end := d.running()
		defer end()
		d.put("web", "a")
		d.fail("web sweep", errors.New("not now"))
		id := begin(t, m, d.request("web", "b")).ID
		d.await(m, id, nic.MoveFinishing)
		if _, err := m.Abort(t.Context(), id); !errors.Is(err, migrate.ErrRefused) {
			t.Errorf("abort beyond the pivot: %v", err)
		}
		if _, err := m.Resume(t.Context(), id); err != nil {
			t.Errorf("resume of what goes on: %v", err)
		}
		time.Sleep(time.Hour)
		d.fail("web sweep", nil)
		if move := d.await(m, id, nic.MoveDone); d.at("web") != "b" || move.Steps[len(move.Steps)-1].Tries < 100 {
			t.Errorf("web is on %s: %+v", d.at("web"), move.Steps)
		}
	}, "a", "b")
}

func TestF64_AParkedMoveGoesOnEitherWay(t *testing.T) {
	for _, c := range []struct {
		turn func(*migrate.Mover, context.Context, nic.MoveID) (nic.Move, error)
		want nic.MovePhase
		on   string
	}{{(*migrate.Mover).Resume, nic.MoveDone, "b"}, {(*migrate.Mover).Abort, nic.MoveUndone, "a"}} {
		inDepot(t, func(t *testing.T, d *depot) {
			d.put("web", "a")
			d.fail("web pivot", errors.New("no"))
			d.fail("web undo-load", saga.Final(errors.New("two would run")))
			m, end := d.running()
			id := begin(t, m, d.request("web", "b")).ID
			move := d.await(m, id, nic.MoveParked)
			if move.Remedy != "mend web" || !strings.Contains(move.Why, "two would run") {
				t.Errorf("parked: %q, %q", move.Why, move.Remedy)
			}
			time.Sleep(time.Hour)
			end()
			_ = d.ParkMove(t.Context(), id, nil, "") // as if the controller had died before it said so
			m, end = d.running()
			defer end()
			time.Sleep(time.Hour)
			if got, _, _ := m.Move(t.Context(), id); got.Phase != nic.MoveParked || d.shown(id) == "" {
				t.Errorf("after a restart it is %s, the claims say %q", got.Phase, d.shown(id))
			}
			d.fail("web pivot", nil)
			d.fail("web undo-load", nil)
			if _, err := c.turn(m, t.Context(), id); err != nil {
				t.Fatal(err)
			}
			d.await(m, id, c.want)
			if d.at("web") != c.on || d.shown(id) != "" {
				t.Errorf("web is on %s and its claims say %q", d.at("web"), d.shown(id))
			}
			d.clean()
		}, "a", "b")
	}
}

func TestTwoRequestsAreOneMove(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m := d.mover()
		d.put("web", "a")
		first := begin(t, m, d.request("web", "b"))
		if again := begin(t, m, d.request("web", "b")); again.ID != first.ID {
			t.Errorf("the same request began %s beside %s", again.ID, first.ID)
		}
		_, err := m.Begin(t.Context(), d.request("web", "c"))
		if refusals := nic.AsMoveRefusals(err); len(refusals) != 1 || !strings.Contains(refusals[0].Why, string(first.ID)) {
			t.Errorf("another move of it: %v", err)
		}
		d.put("db", "a")
		ids := map[nic.MoveID]bool{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, to := range []string{"b", "c", "b", "c"} {
			wg.Go(func() {
				if move, err := m.Begin(t.Context(), d.request("db", to)); err == nil {
					mu.Lock()
					defer mu.Unlock()
					ids[move.ID] = true
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 {
			t.Errorf("%d moves of one container were begun at once", len(ids))
		}
	}, "a", "b", "c")
}

// A stand-by that is not there is the one thing that is wrong, and so is a container
// that has gone while its claim has not.
func TestAPlanSaysWhatIsNotThere(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.put("web", "a")
		m, end := d.running()
		defer end()
		says := func(request nic.MoveRequest, want string) {
			t.Helper()
			plan, err := m.Plan(t.Context(), request)
			if err != nil || len(plan.Refusals) != 1 || plan.Refusals[0].Error() != want {
				t.Errorf("want %q, got %v, %v", want, plan.Refusals, err)
			}
		}
		says(nic.MoveRequest{Kind: nic.MoveNIC, Container: "web", To: "b", Target: "spare"},
			"target: there is no container spare on b; start it there first: docker run -d --network none --name spare …")
		delete(d.facts, "web")
		says(nic.MoveRequest{Container: "web", To: "b"},
			"container: there is no container web on a any more; nicferry get claims shows who has NICs")
	}, "a", "b")
}

func TestBeginRefusesWithAllReasons(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m := d.mover()
		d.put("web", "a")
		d.free["b"] = 0
		f := d.facts["web"]
		f.Privileged, f.Binds = true, []string{"/etc"}
		d.facts["web"] = f
		_, err := m.Begin(t.Context(), d.request("web", "b"))
		var about []string
		for _, r := range nic.AsMoveRefusals(err) {
			about = append(about, r.About)
		}
		slices.Sort(about)
		if !slices.Equal(about, []string{"binds", "privileged", "slots"}) {
			t.Errorf("refused for %v: %v", about, err)
		}
		if plan, err := m.Plan(t.Context(), d.request("web", "b")); err != nil || len(plan.Refusals) != 3 {
			t.Errorf("the plan says %v, %v", plan.Refusals, err)
		}
		if moves, err := m.Moves(t.Context()); err != nil || len(moves) > 0 {
			t.Errorf("moves %v, %v", moves, err)
		}
		if _, _, err := m.Move(t.Context(), nic.NewMoveID()); !errors.Is(err, migrate.ErrNotFound) {
			t.Errorf("a move that there is not: %v", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.forgot) != 2 {
			t.Errorf("the questions of %d of 2 plans were forgotten", len(d.forgot))
		}
	}, "a", "b")
}

// What a newer release has journaled is not touched by this one.
func TestStepsThatAreNotKnownStandStill(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.put("web", "a")
		id := begin(t, d.mover(), d.request("web", "b")).ID
		move, rev, err := store.GetJSON[nic.Move](t.Context(), d.store, "move/"+string(id))
		if err != nil {
			t.Fatal(err)
		}
		move.Steps[0].Name = "teleport"
		op, err := store.UpdateJSON("move/"+string(id), move, rev)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.store.Commit(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		m, end := d.running()
		defer end()
		time.Sleep(time.Hour)
		if move := d.await(m, id, nic.MoveForward); move.Why == "" || d.shown(id) == "" || d.loaded[id] {
			t.Errorf("it says %q, the claims say %q; loaded %t", move.Why, d.shown(id), d.loaded[id])
		}
	}, "a", "b")
}

func TestOldMovesAreDropped(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m, end := d.running()
		defer end()
		d.put("web", "a")
		id := begin(t, m, d.request("web", "b")).ID
		d.await(m, id, nic.MoveDone)
		time.Sleep(6 * 24 * time.Hour)
		if _, _, err := m.Move(t.Context(), id); err != nil {
			t.Errorf("after 6 days: %v", err)
		}
		time.Sleep(2 * 24 * time.Hour)
		if _, _, err := m.Move(t.Context(), id); !errors.Is(err, migrate.ErrNotFound) {
			t.Errorf("after 8 days: %v", err)
		}
	}, "a", "b")
}

func TestWaitMove(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		m := d.mover()
		d.put("web", "a")
		id := begin(t, m, d.request("web", "b")).ID
		_, rev, err := m.WaitMove(t.Context(), id, 0)
		if err != nil || rev == 0 {
			t.Fatal(rev, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, _, err := m.WaitMove(ctx, id, rev); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing has changed: %v", err)
		}
		_, end := d.running()
		defer end()
		if _, now, err := m.WaitMove(t.Context(), id, rev); err != nil || now <= rev {
			t.Errorf("revision %d after %d, %v", now, rev, err)
		}
	}, "a", "b")
}
