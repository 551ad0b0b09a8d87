//go:build linux

package aws

import (
	"fmt"
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

// shards is how many fleets share the steps.
const shards = 2

// The controller is killed before each call that a container's start and its end
// make, and after each that changes something: the next one goes on, with the same
// interface, and leaves nothing.
func TestF01_KilledAtEachCall(t *testing.T) {
	t.Parallel()
	for shard := range shards {
		t.Run(fmt.Sprintf("shard %d of %d", shard+1, shards), func(t *testing.T) {
			t.Parallel()
			r := start(t, options{})
			steps := r.steps()
			reached := 0
			for n, s := range steps {
				if n%shards != shard {
					continue
				}
				t.Run(s.String(), func(t *testing.T) {
					begin := time.Now()
					in := *r
					in.t = t
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
func (r *rig) restart() {
	r.t.Helper()
	r.do(r.KillController(r.t.Context()))
	r.do(r.StartController(r.t.Context()))
}

// steps are those of one life that nobody disturbs, by the cloud's log.
func (r *rig) steps() (all []step) {
	r.t.Helper()
	vm1 := r.Agents[0]
	r.restart()
	begin := r.mark()
	r.run(vm1, "web", "vpc")
	eni := r.cardIs(vm1, "web")
	r.settle()
	end := r.mark()
	r.remove(vm1, "web", eni)
	for _, ending := range []bool{false, true} {
		log, nth := r.site.Cloud.Log(begin)[:end-begin], map[string]int{}
		if ending {
			log = r.site.Cloud.Log(end)
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
func (r *rig) settle() {
	for n := -1; n != r.mark(); time.Sleep(300 * time.Millisecond) {
		n = r.mark()
	}
}

// killedAt kills the controller at a step of one life, and tells whether it came to
// that: how often it looks depends on how fast all is.
func (r *rig) killedAt(s step) bool {
	r.t.Helper()
	ctx, vm1 := r.t.Context(), r.Agents[0]
	r.restart()
	mark := r.mark()
	fault := cloudsim.Fault{Verb: cloudsim.Slow, API: s.api, Nth: s.nth, After: s.after, Delay: nic.Duration(time.Hour)}
	plan := func() string { return r.inject(fault)[0] }
	name := ""
	if !s.ending {
		name = plan()
	}
	r.run(vm1, "web", "vpc")
	if s.ending {
		r.cardIs(vm1, "web")
		r.settle()
		name = plan()
		_, err := vm1.Docker(ctx, "rm", "-f", "web")
		r.do(err)
	}
	struck := r.reaches(s, name)
	if struck {
		r.do(r.KillController(ctx))
	}
	r.site.Cloud.Clear(name)
	if struck {
		r.do(r.StartController(ctx))
	}
	if !s.ending {
		r.remove(vm1, "web", r.cardIs(vm1, "web"))
	}
	r.do(fleet.Until(ctx, "nothing of ours to be left", func() error { return r.orphans(ctx) }))
	r.made(mark, 1)
	if !struck && s.mutating() {
		r.t.Errorf("it did not come to that:\n%s", r.cloudLog(mark))
	}
	return struck
}

// reaches waits until the fault has struck, and its call has taken place if it is to;
// or until that is too late.
func (r *rig) reaches(s step, fault string) (struck bool) {
	r.t.Helper()
	done := func() bool {
		if s.ending {
			return r.orphans(r.t.Context()) == nil
		}
		claims := r.cli("get", "claims", "-o", "json")
		return strings.Contains(claims, `"phase": "bound"`)
	}
	begin := time.Now()
	r.await(s.String(), func() bool {
		struck = r.struck(fault)
		return struck || time.Since(begin) > 2*time.Second && done()
	})
	if struck && s.after {
		r.await("the call to take effect", func() bool { return strings.Contains(r.cloudLog(0), "fault="+fault+" effect=true") })
	}
	return struck
}
