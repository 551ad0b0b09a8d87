//go:build linux

package vm

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
)

// A container moves to the other guest with its card, its volume and what it has
// written, and back. Then the guest that it came to first boots anew: it stays
// where it is.
func TestMovesThereAndBack(t *testing.T) {
	r := use(t)
	m := r.mover("web", "lab")
	for _, to := range []int{2, 1, 2} {
		from := r.node(3 - to)
		m.migrate(r.node(to))
		m.settled(r.node(to))
		r.docker(from, "volume", "rm", m.name) // which it left; it would be a reason against the way back
		m.whole(r.node(to))
	}
	source := r.node(1)
	r.must(r.Virt().Reset(t.Context(), source.Name)) // nothing is written back first
	m.look.lost(source)
	r.must(source.Await(t.Context()))
	r.must(m.look.post(source))
	m.settled(r.node(2))
	m.whole(r.node(2))
}

// A running container's NIC alone goes to a stand-by in the other guest.
func TestMovesANICToAStandBy(t *testing.T) {
	r := use(t)
	m := r.mover("web", "fixed")
	m.together = true
	r.run(r.node(2), "standby")
	out, err := r.CLI(t.Context(), "move-nic", m.name, "--to", "vm2/standby")
	m.tell("move-nic: %s", out)
	r.must(err)
	m.name = "standby"
	m.settled(r.node(2))
	for n, name := range map[*node]string{r.node(1): "web", r.node(2): "standby"} {
		if got := r.docker(n, "inspect", "-f", "{{.State.Running}} {{.RestartCount}}", name); got != "true 0" {
			t.Errorf("%s: %s; want it to run all the time", name, got)
		}
	}
	if links := r.docker(r.node(1), "exec", "web", "ls", "/sys/class/net"); links != "lo" {
		t.Errorf("the one that has given its card away has %q", links)
	}
	m.name = "web" // to be removed
}

// F18: the guest that a container leaves loses its power at a step of the move. The
// NIC is where the container ends up, with the same MAC and address, and there is
// no other.
func TestF18_TheSourceIsDestroyedInAMove(t *testing.T) {
	use(t)
	cases := slices.DeleteFunc(allCases(t), func(c migratetest.Case) bool {
		return c.Harm != migratetest.LoseSource || !long() && c.Step != migrate.StepNICOut
	})
	harmEach(t, cases)
}

// F64: one harm at one step of a move: five, which are others with each commit, and
// in the long tests each at each. Destroyed sources are F18's.
func TestF64_MovesAreHarmed(t *testing.T) {
	use(t)
	cases := slices.DeleteFunc(allCases(t), func(c migratetest.Case) bool { return c.Harm == migratetest.LoseSource })
	if !long() {
		cases = five(cases, commit())
	}
	harmEach(t, cases)
}

// harmEach plays the cases one after the other.
func harmEach(t *testing.T, cases []migratetest.Case) {
	t.Helper()
	begin, done, outcomes := time.Now(), 0, map[string]int{}
	for i, each := range cases {
		t.Run(each.String(), func(t *testing.T) {
			r := use(t)
			c := &harmed{mover: r.mover("web", []string{"lab", "fixed"}[i%2]), Case: each}
			outcome := c.play()
			outcomes[outcome]++
			done++
			t.Logf("%s: %s in %s", each, outcome, time.Since(c.began).Round(time.Second))
		})
	}
	t.Logf("%d of %d in %s: %v", done, len(cases), time.Since(begin).Round(time.Second), outcomes)
}

// allCases are those of a move that has all steps but the image's, which is in both
// guests, and that can be made of real machines.
func allCases(t *testing.T) []migratetest.Case {
	t.Helper()
	var steps []nic.PlannedStep
	for _, name := range []string{
		migrate.StepFence, migrate.StepRestartsOff, migrate.StepImage, migrate.StepCreate, migrate.StepStop, migrate.StepVolumes, migrate.StepLayer,
		migrate.StepNICOut, migrate.StepStart, migrate.StepNICIn, migrate.StepHealth, migrate.StepPivot, migrate.StepRestartsOn, migrate.StepDrop,
	} {
		steps = append(steps, nic.PlannedStep{Name: name, Pivot: name == migrate.StepPivot})
	}
	return possible(migratetest.Cases(steps))
}

// five draws five cases by a word, each of another kind of harm, the first of a
// guest that loses its power.
func five(cases []migratetest.Case, word string) (drawn []migratetest.Case) {
	sum := fnv.New64a()
	fmt.Fprint(sum, word)
	rng := rand.New(rand.NewPCG(sum.Sum64(), 18))
	for _, i := range rng.Perm(len(cases)) {
		if cases[i].Harm == migratetest.LoseTarget {
			drawn = append(drawn, cases[i])
			break
		}
	}
	for _, i := range rng.Perm(len(cases)) {
		another := !slices.ContainsFunc(drawn, func(c migratetest.Case) bool { return c.Harm == cases[i].Harm || c.Step == cases[i].Step })
		if another && len(drawn) < 5 {
			drawn = append(drawn, cases[i])
		}
	}
	return drawn
}

// commit is what is tested, or the day where that is not known.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if word := strings.TrimSpace(string(out)); err == nil && word != "" {
		return word
	}
	return time.Now().UTC().Format(time.DateOnly)
}

// Every case has its turn, and each draw has a guest that loses its power.
func TestFiveCasesTakeTurns(t *testing.T) {
	cases := slices.DeleteFunc(allCases(t), func(c migratetest.Case) bool { return c.Harm == migratetest.LoseSource })
	seen := map[string]bool{}
	for i := range 2000 {
		drawn := five(cases, fmt.Sprint(i))
		if len(drawn) != 5 || drawn[0].Harm != migratetest.LoseTarget {
			t.Fatalf("draw %d is %v", i, drawn)
		}
		for _, c := range drawn {
			seen[c.String()] = true
		}
	}
	if len(seen) != len(cases) {
		t.Errorf("%d of %d cases were drawn", len(seen), len(cases))
	}
	if a, b := five(cases, "same"), five(cases, "same"); !slices.Equal(a, b) {
		t.Errorf("the same word has drawn %v and %v", a, b)
	}
}
