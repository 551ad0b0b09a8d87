package migrate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// fill puts n containers on a node.
func (d *depot) fill(node string, n int) (all []string) {
	for i := range n {
		name := fmt.Sprintf("c%d", i)
		d.put(name, node)
		all = append(all, name)
	}
	return all
}

func (d *depot) drained(m *migrate.Mover, node string, want nic.DrainPhase) nic.Drain {
	d.t.Helper()
	var last nic.Drain
	for range 600 {
		drains, err := m.Drains(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		for _, drain := range drains {
			if last = drain; drain.Node == node && drain.Phase == want {
				return drain
			}
		}
		time.Sleep(time.Second)
	}
	d.t.Fatalf("the drain of %s is %+v, not %s", node, last, want)
	return nic.Drain{}
}

func (d *depot) drain(m *migrate.Mover, node string, request nic.DrainRequest) {
	d.t.Helper()
	if _, err := m.Drain(d.t.Context(), node, request); err != nil {
		d.t.Fatal(err)
	}
}

func TestADrainEmptiesANode(t *testing.T) {
	for _, atOnce := range []int{0, 1, 3} {
		inDepot(t, func(t *testing.T, d *depot) {
			all := d.fill("a", 7)
			d.put("stays", "b")
			m, end := d.running()
			defer end()
			d.drain(m, "a", nic.DrainRequest{MaxParallel: atOnce})
			drain := d.drained(m, "a", nic.DrainDone)
			for _, c := range all {
				if d.at(c) == "a" {
					t.Errorf("%s is still there", c)
				}
			}
			want := atOnce
			if want == 0 {
				want = 2
			}
			if d.most["a"] != want || len(drain.Containers) != 7 || drain.Ended.IsZero() {
				t.Errorf("%d at once, want %d: %+v", d.most["a"], want, drain)
			}
			for _, c := range drain.Containers {
				if c.State != nic.MoveDone || c.Move == "" || c.To == "" {
					t.Errorf("%+v", c)
				}
			}
			d.clean()
		}, "a", "b", "c")
	}
}

// Containers go where most is free, to no node that is drained, silent or not
// asked for, and to none that takes no orders.
func TestADrainChoosesItsTargets(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.free = map[string]int{"a": 0, "b": 3, "c": 4, "off": 50, "full": 0, "silent": 50, "deaf": 50}
		for name, change := range map[string]func(*nic.Node){
			"silent": func(n *nic.Node) { n.Phase = nic.NodeSilent }, "deaf": func(n *nic.Node) { n.Inventory.Moves = false },
		} {
			n := d.nodes[name]
			change(&n)
			d.nodes[name] = n
		}
		d.fill("a", 4)
		m, end := d.running()
		defer end()
		d.drain(m, "off", nic.DrainRequest{})
		d.drain(m, "a", nic.DrainRequest{MaxParallel: 1})
		drain := d.drained(m, "a", nic.DrainDone)
		var to []string
		for _, c := range drain.Containers {
			to = append(to, c.To)
		}
		if got := strings.Join(to, " "); got != "c b c b" && got != "c c b c" && got != "c b c c" {
			t.Errorf("they went to %s", got)
		}
	}, "a", "b", "c", "off", "full", "silent", "deaf")
}

func TestADrainStopsAtTheFirstFailureAndGoesOnWhenAsked(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.fill("a", 5)
		d.fail("c1 pivot", errors.New("c1 does not want to"))
		m, end := d.running()
		defer end()
		d.drain(m, "a", nic.DrainRequest{To: []string{"b"}})
		drain := d.drained(m, "a", nic.DrainStopped)
		if !strings.Contains(drain.Why, "c1 does not want to") || d.at("c1") != "a" || d.at("c4") != "a" {
			t.Errorf("stopped: %q, c1 on %s, c4 on %s", drain.Why, d.at("c1"), d.at("c4"))
		}
		time.Sleep(time.Minute)
		if d.at("c4") != "a" {
			t.Error("it began another move after it had stopped")
		}
		d.fail("c1 pivot", nil)
		d.drain(m, "a", nic.DrainRequest{To: []string{"b"}})
		d.drained(m, "a", nic.DrainDone)
		for i := range 5 {
			if on := d.at(fmt.Sprintf("c%d", i)); on != "b" {
				t.Errorf("c%d is on %s", i, on)
			}
		}
	}, "a", "b", "c")
}

func TestADrainKeepsGoingAndTellsWhatStays(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.fill("a", 5)
		d.fail("c1 pivot", errors.New("no"))
		d.fail("c2 pivot", errors.New("no"))
		d.fail("c2 undo-load", saga.Final(errors.New("stuck")))
		f := d.facts["c3"]
		f.Privileged = true
		d.facts["c3"] = f
		m, end := d.running()
		defer end()
		d.drain(m, "a", nic.DrainRequest{KeepGoing: true})
		drain := d.drained(m, "a", nic.DrainStopped)
		states := map[string]nic.MovePhase{"c0": nic.MoveDone, "c1": nic.MoveUndone, "c2": nic.MoveParked, "c4": nic.MoveDone}
		for _, c := range drain.Containers {
			if c.State != states[c.Container] {
				t.Errorf("%s is %s, want %s", c.Container, c.State, states[c.Container])
			}
			if refused := len(c.Refusals) > 0; refused != (c.Container == "c3") {
				t.Errorf("%s: refusals %v", c.Container, c.Refusals)
			}
		}
		if want := "3 containers stay on a: c1, c2, c3"; drain.Why != want {
			t.Errorf("it says %q, want %q", drain.Why, want)
		}
	}, "a", "b", "c")
}

func TestADrainGoesOnAfterACrash(t *testing.T) {
	for at := 100 * time.Millisecond; at < 4*time.Second; at += 400 * time.Millisecond {
		inDepot(t, func(t *testing.T, d *depot) {
			d.fill("a", 5)
			m, end := d.running()
			d.drain(m, "a", nic.DrainRequest{})
			time.Sleep(at)
			end()
			m, end = d.running()
			defer end()
			drain := d.drained(m, "a", nic.DrainDone)
			moves, err := m.Moves(t.Context())
			if err != nil || len(moves) != 5 || len(drain.Containers) != 5 || d.most["a"] > 2 {
				t.Errorf("%d moves of 5 containers, at most %d at once, %v", len(moves), d.most["a"], err)
			}
		}, "a", "b", "c")
	}
}

func TestUndrain(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.fill("a", 5)
		m, end := d.running()
		defer end()
		d.drain(m, "a", nic.DrainRequest{MaxParallel: 1})
		time.Sleep(1500 * time.Millisecond)
		if _, err := m.Undrain(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if d.at("c0") == "a" || d.at("c1") != "a" {
			t.Errorf("c0 is on %s, c1 on %s: want the one that was under way gone, and no other", d.at("c0"), d.at("c1"))
		}
		if _, err := m.Undrain(t.Context(), "a"); !errors.Is(err, migrate.ErrNotFound) {
			t.Errorf("a second time: %v", err)
		}
		if _, err := m.Drain(t.Context(), "a", nic.DrainRequest{To: []string{"a"}}); !errors.Is(err, migrate.ErrInvalid) {
			t.Errorf("to itself: %v", err)
		}
		if _, err := m.Drain(t.Context(), "nobody", nic.DrainRequest{}); err == nil {
			t.Error("a node that there is not is drained")
		}
	}, "a", "b", "c")
}

// Why each of the nodes takes nothing is said, and nothing is begun towards one that
// there is not.
func TestADrainSaysWhatIsWrongWithItsTargets(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.fill("a", 1)
		d.nodes["b"] = nic.Node{Name: "b", Phase: nic.NodeReady}
		m, end := d.running()
		defer end()
		if _, err := m.Drain(t.Context(), "a", nic.DrainRequest{To: []string{"b", "z"}}); err == nil || !strings.Contains(err.Error(), "to z: ") {
			t.Errorf("towards a node that there is not: %v", err)
		}
		if drains, err := m.Drains(t.Context()); len(drains) > 0 || err != nil {
			t.Errorf("there are drains %+v, %v", drains, err)
		}
		d.drain(m, "a", nic.DrainRequest{To: []string{"b"}})
		drain := d.drained(m, "a", nic.DrainStopped)
		if got := nic.MoveRefusals(drain.Containers[0].Refusals).Error(); !strings.Contains(got, "the agent of b (release unknown) takes no orders") {
			t.Errorf("it says %q", got)
		}
	}, "a", "b")
}

func TestADrainWithoutATargetSaysSo(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.fill("a", 1)
		m, end := d.running()
		defer end()
		d.drain(m, "a", nic.DrainRequest{})
		drain := d.drained(m, "a", nic.DrainStopped)
		if len(drain.Containers) != 1 || len(drain.Containers[0].Refusals) != 1 || drain.Containers[0].Refusals[0].About != "node" {
			t.Errorf("%+v", drain)
		}
	}, "a")
}
