//go:build linux

package aws

import (
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A container moves with its interface, there and back, and another starts
// meanwhile, while calls are throttled and replies lost: the interface is detached
// and attached once for each move, and none is made twice.
func TestF03_AMoveWhileRepliesAreLost(t *testing.T) {
	t.Parallel()
	// An interface stays in its zone, and each second machine is in the other one.
	r := start(t, options{agents: 3, kind: "m5.xlarge", cloud: cloudsim.Options{Buckets: cloudsim.KnownBuckets()}})
	vm1, vm3 := r.Agents[0], r.Agents[2]
	r.run(vm1, "web", "vpc")
	eni := r.cardIs(vm1, "web")
	mark := r.mark()
	r.cli("migrate", "web", "--to", vm3.Name, "--layer", "copy")
	r.carried(mark, eni, r.cardIs(vm3, "web"))
	const create, attach, detach, remove = "CreateNetworkInterface", "AttachNetworkInterface", "DetachNetworkInterface", "DeleteNetworkInterface"
	r.inject(
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: create},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: attach},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: detach},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: remove},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: create, Nth: 2},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: attach, Nth: 2, Count: 2},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: detach, Nth: 2, Count: 2},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: "Describe*", Count: 3},
	)
	mark = r.mark()
	r.run(vm3, "app", "vpc")
	app := r.cardIs(vm3, "app")
	r.made(mark, 1)
	mark = r.mark()
	r.cli("migrate", "web", "--to", vm1.Name, "--layer", "copy")
	back := r.cardIs(vm1, "web")
	r.carried(mark, eni, back)
	r.remove(vm1, "web", back)
	r.remove(vm3, "app", app)
	for _, f := range r.site.Cloud.Faults() {
		t.Errorf("a fault has not struck all that it was to: %+v", f)
	}
}

// carried wants the interface to be the same, detached and attached once.
func (r *rig) carried(mark int, was, is cloudsim.Interface) {
	r.t.Helper()
	did := r.effects(mark)
	if is.ID != was.ID || is.MAC != was.MAC || did["DetachNetworkInterface"] != 1 || did["AttachNetworkInterface"] != 1 {
		r.t.Errorf("it was %s with %s and is %s with %s, by %v:\n%s", was.ID, was.MAC, is.ID, is.MAC, did, r.cloudLog(mark))
	}
}
