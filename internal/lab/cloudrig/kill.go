//go:build linux

package cloudrig

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// A step is one call of a container's start, or of its end.
type step struct {
	ending bool
	api    string
	nth    int  // of the calls of this API at its start, or at its end
	after  bool // it has taken place, and nobody has heard so
}

// String is such as "start, before DescribeSubnets 1".
func (s step) String() string {
	at, when := "start", "before"
	if s.ending {
		at = "end"
	}
	if s.after {
		when = "after"
	}
	return fmt.Sprintf("%s, %s %s %d", at, when, s.api, s.nth)
}

// mutating says whether the step is one that each life has.
func (s step) mutating() bool { return !strings.HasPrefix(s.api, "Describe") }

// KilledAtEachCall: the controller is killed before each call that a container's start
// and its end make, and after each that changes something: the next one goes on, with the
// same interface, and leaves nothing. So many fleets share the steps, which are those of
// calls that look too if the test says so.
func (w World) KilledAtEachCall(t *testing.T, shards int, looks bool) {
	t.Parallel()
	for shard := range shards {
		t.Run(fmt.Sprintf("shard %d of %d", shard+1, shards), func(t *testing.T) {
			t.Parallel()
			r := w.Start(t, Options{})
			steps := r.steps()
			if !looks {
				steps = slices.DeleteFunc(steps, func(s step) bool { return !s.mutating() })
			}
			reached := 0
			for n, s := range steps {
				if n%shards != shard {
					continue
				}
				t.Run(s.String(), func(t *testing.T) {
					begin := time.Now()
					in := *r
					in.T = t
					if in.killedAt(s) {
						reached++
					}
					t.Log(time.Since(begin))
				})
			}
			t.Logf("killed at %d of %d steps", reached, len(steps))
		})
	}
}

// restart has a controller whose caches are empty.
func (r *Rig) restart() {
	r.T.Helper()
	r.Must(r.KillController(r.T.Context()))
	r.Must(r.StartController(r.T.Context()))
}

// steps are those of one life that nobody disturbs, by the cloud's log.
func (r *Rig) steps() (all []step) {
	r.T.Helper()
	vm1 := r.Agents[0]
	r.restart()
	begin := r.Mark()
	r.Run(vm1, "web", "vpc")
	eni := r.CardIs(vm1, "web")
	r.settle()
	end := r.Mark()
	r.Remove(vm1, "web", eni)
	for _, ending := range []bool{false, true} {
		log, nth := r.Site.Cloud.Log(begin)[:end-begin], map[string]int{}
		if ending {
			log = r.Site.Cloud.Log(end)
		}
		for _, e := range log {
			if e.API == "" {
				continue
			}
			nth[e.API]++
			s := step{ending: ending, api: e.API, nth: nth[e.API]}
			all = append(all, s)
			if s.mutating() {
				s.after = true
				all = append(all, s)
			}
		}
	}
	return all
}

// settle waits until the controller calls no more.
func (r *Rig) settle() {
	for n := -1; n != r.Mark(); time.Sleep(300 * time.Millisecond) {
		n = r.Mark()
	}
}

// killedAt kills the controller at a step of one life, and tells whether it came to
// that: how often it looks depends on how fast all is.
func (r *Rig) killedAt(s step) bool {
	r.T.Helper()
	ctx, vm1 := r.T.Context(), r.Agents[0]
	r.restart()
	mark := r.Mark()
	fault := cloudsim.Fault{Verb: cloudsim.Slow, API: s.api, Nth: s.nth, After: s.after, Delay: nic.Duration(time.Hour)}
	plan := func() string { return r.Inject(fault)[0] }
	name := ""
	if !s.ending {
		name = plan()
	}
	r.Run(vm1, "web", "vpc")
	if s.ending {
		r.CardIs(vm1, "web")
		r.settle()
		name = plan()
		_, err := vm1.Docker(ctx, "rm", "-f", "web")
		r.Must(err)
	}
	struck := r.reaches(s, name)
	if struck {
		r.Must(r.KillController(ctx))
	}
	r.Site.Cloud.Clear(name)
	if struck {
		r.Must(r.StartController(ctx))
	}
	if !s.ending {
		r.Remove(vm1, "web", r.CardIs(vm1, "web"))
	}
	r.Must(fleet.Until(ctx, "nothing of ours to be left", func() error { return r.Orphans(ctx) }))
	r.Made(mark, 1)
	if !struck && s.mutating() {
		r.T.Errorf("it did not come to that:\n%s", r.CloudLog(mark))
	}
	return struck
}

// reaches waits until the fault has struck, and its call has taken place if it is to;
// or until that is too late.
func (r *Rig) reaches(s step, fault string) (struck bool) {
	r.T.Helper()
	done := func() bool {
		if s.ending {
			return r.Orphans(r.T.Context()) == nil
		}
		claims := r.Tell("get", "claims", "-o", "json")
		return strings.Contains(claims, `"phase": "bound"`)
	}
	begin := time.Now()
	r.Await(s.String(), func() bool {
		struck = r.Struck(fault)
		return struck || time.Since(begin) > 2*time.Second && done()
	})
	if struck && s.after {
		r.Await("the call to take effect", func() bool { return strings.Contains(r.CloudLog(0), "fault="+fault+" effect=true") })
	}
	return struck
}
