//go:build linux

package cloudrig

import (
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// AMoveWhileRepliesAreLost: a container moves with its interface, there and back, and
// another starts meanwhile, while calls are throttled and replies lost: the interface is
// detached and attached once for each move, and none is made twice.
func (w World) AMoveWhileRepliesAreLost(t *testing.T) {
	t.Parallel()
	// An interface stays in its zone, and each second machine is in the other one.
	r := w.Start(t, Options{Agents: 3, Type: w.Vendor.Type, Throttled: true})
	vm1, vm3 := r.Agents[0], r.Agents[2]
	r.Run(vm1, "web", "vpc")
	eni := r.CardIs(vm1, "web")
	mark := r.Mark()
	r.Tell("migrate", "web", "--to", vm3.Name, "--layer", "copy")
	r.carried(mark, eni, r.CardIs(vm3, "web"))
	const create, attach, detach, remove = vendors.Create, vendors.Attach, vendors.Detach, vendors.Delete
	r.Inject(
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: create},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: attach},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: detach},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: remove},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: create, Nth: 2},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: attach, Nth: 2, Count: 2},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: detach, Nth: 2, Count: 2},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: "Describe*", Count: 3},
	)
	mark = r.Mark()
	r.Run(vm3, "app", "vpc")
	app := r.CardIs(vm3, "app")
	r.Made(mark, 1)
	mark = r.Mark()
	r.Tell("migrate", "web", "--to", vm1.Name, "--layer", "copy")
	back := r.CardIs(vm1, "web")
	r.carried(mark, eni, back)
	r.Remove(vm1, "web", back)
	r.Remove(vm3, "app", app)
	for _, f := range r.Site.Cloud.Faults() {
		t.Errorf("a fault has not struck all that it was to: %+v", f)
	}
}

// carried wants the interface to be the same, detached and attached once.
func (r *Rig) carried(mark int, was, is cloudsim.Interface) {
	r.T.Helper()
	did := r.Effects(mark)
	if is.ID != was.ID || is.MAC != was.MAC || did[vendors.Detach] != 1 || did[vendors.Attach] != 1 {
		r.T.Errorf("it was %s with %s and is %s with %s, by %v:\n%s", was.ID, was.MAC, is.ID, is.MAC, did, r.CloudLog(mark))
	}
}
