//go:build linux

package trust

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// followed is what "nicferry events -f" has written by now: events, and what it
// said of itself.
func (r *rig) followed() (told []api.Event, notes string) {
	r.t.Helper()
	text, err := os.ReadFile(r.File("events.log"))
	r.do(err)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "\n") {
			notes += line
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			r.t.Fatalf("%q: %v", line, err)
		}
		told = append(told, e)
	}
	return told, notes
}

// hears waits until an event of the container's has been told.
func (r *rig) hears(container string, reason nic.Reason) {
	r.t.Helper()
	r.do(fleet.Until(r.t.Context(), fmt.Sprintf("%s of %s to be told", reason, container), func() error {
		told, notes := r.followed()
		if slices.ContainsFunc(told, func(e api.Event) bool { return e.Container == container && e.Reason == reason }) {
			return nil
		}
		return fmt.Errorf("told are %+v\n%s", told, notes)
	}))
}

// waterfall is that of a container's claim, which is bound.
func (r *rig) waterfall(container string, want ...nic.StepName) {
	r.t.Helper()
	claims := r.claims()
	i := slices.IndexFunc(claims, func(c api.ClaimView) bool { return c.Container == container })
	if i < 0 || claims[i].Phase != nic.ClaimBound {
		r.t.Fatalf("%s has no claim that is bound: %+v", container, claims)
	}
	var names []nic.StepName
	var sum float64
	steps := claims[i].Steps
	for _, s := range steps {
		names = append(names, s.Name)
		sum += s.Took
		if s.Took < 0 {
			r.t.Errorf("%s: step %s took %f s", container, s.Name, s.Took)
		}
	}
	if !slices.Equal(names, want) {
		r.t.Errorf("%s: steps are %v, want %v", container, names, want)
		return
	}
	first, last := steps[0].At, steps[len(steps)-1].At
	if first.Before(claims[i].Created) || last.Before(claims[i].Since) {
		r.t.Errorf("%s: the claim was made at %s and bound at %s, its steps were from %s to %s", container, claims[i].Created, claims[i].Since, first, last)
	}
	if whole := last.Sub(first).Seconds(); sum-whole > 1e-3 || whole-sum > 1e-3 {
		r.t.Errorf("%s: the steps took %f s together, and it took %f s", container, sum, whole)
	}
}

// A claim's life is told as it happens, and timed step by step, also where the
// controller is killed in the middle of it. Nothing is told twice.
func TestALifeIsToldAndTimed(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{})
	vm1, ctx := r.Agents[0], t.Context()
	r.do(r.Daemons().Start(lab.Program{Name: "events", Args: []string{
		r.Program("nicferry"), "--controller", "unix://" + r.File("nicferryd.sock"), "events", "-f", "-o", "json",
	}}))
	r.run(vm1, "web", "nicferry.network=lab")
	r.hears("web", "ClaimBound")
	r.waterfall("web", nic.StepAsked, nic.StepPlanned, nic.StepPlaced, nic.StepCreated, nic.StepAttached,
		nic.StepFound, nic.StepMoved, nic.StepLeased, nic.StepAddressed, nic.StepBound)
	r.match(r.cli("describe", "claim", "web"), `^Waterfall:$(\n.*)*^  leased: +\+\d+\.\d{3}s +\d+\.\d{3}s +\|[# ]{40}\|$`)

	r.run(vm1, "db", "nicferry.network=fixed")
	r.hears("db", "ClaimAsked")
	r.do(r.KillController(ctx)) // wherever it is with it
	r.do(r.StartController(ctx))
	r.await(`\bdb +eth0 .*\bbound\b`, func() (string, error) { return r.CLI(ctx, "get", "claims") })
	r.waterfall("db", nic.StepAsked, nic.StepPlanned, nic.StepPlaced, nic.StepCreated, nic.StepAttached,
		nic.StepFound, nic.StepMoved, nic.StepAddressed, nic.StepBound)
	_, err := vm1.Docker(ctx, "rm", "-f", "web")
	r.do(err)
	r.hears("web", "ClaimEnded")
	r.do(r.Daemons().Signal("events", syscall.SIGINT))
	r.do(r.Daemons().Ended(ctx, "events", 0))

	told, notes := r.followed()
	r.match(notes, `(?s)connection lost.*connected again.*started anew`)
	var reasons []string
	var last uint64
	streams := 1
	for _, e := range told {
		if e.Seq <= last {
			streams++
		}
		last = e.Seq
		if e.Container == "web" && strings.HasPrefix(string(e.Reason), "Claim") {
			reasons = append(reasons, string(e.Reason))
		}
	}
	if streams != 2 {
		t.Errorf("events are of %d runs of the controller, want 2: %+v", streams, told)
	}
	// It died before it was removed, or so close to it that the two are told the other way round.
	life := strings.NewReplacer("ClaimBound ClaimReady", "ClaimBound", "ClaimReleasing ClaimReady", "ClaimReleasing").Replace(strings.Join(reasons, " "))
	if got, want := life, "ClaimAsked ClaimReady ClaimBound ClaimReleasing ClaimEnded"; got != want {
		t.Errorf("of web was told %s, want %s", got, want)
	}
	r.match(r.cli("events", "--claim", "web"), `^TIME +TYPE +REASON +ABOUT +MESSAGE\n(.*\n)*.* ClaimEnded +web on vm1 `)
}
