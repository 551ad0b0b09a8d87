//go:build linux

package cloudrig

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// AMoveByAddressWhileRepliesAreLost: a container moves by its address alone, there and
// back, while replies are lost and a call is throttled: the address is assigned once for
// each move, never is on two interfaces, and on none only where the cloud has no call
// that takes it from one to another; each move makes one interface and leaves none behind.
func (w World) AMoveByAddressWhileRepliesAreLost(t *testing.T) {
	t.Parallel()
	r := w.Start(t, Options{Agents: 3, Type: w.Vendor.Type, Networks: func(r *Rig) string { return r.Network("addr", "movable: address") }})
	vm1, vm3 := r.Agents[0], r.Agents[2]
	const create, assign = vendors.Create, vendors.Assign
	mark := r.Mark()
	r.Run(vm1, "web", "addr")
	eni := r.CardIs(vm1, "web")
	if len(eni.IPv4) != 2 {
		t.Fatalf("its interface is %+v", eni)
	}
	addr := eni.IPv4[1].Addr
	if out := r.Tell("migrate", "web", "--to", vm3.Name, "--layer", "copy", "--dry-run"); !strings.Contains(out, "the addresses go alone") || !strings.Contains(out, "another MAC") {
		t.Errorf("the plan is\n%s", out)
	}
	onOne := r.watchAddress(addr)
	r.Inject(
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: create},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: assign},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: assign, Nth: 3},
	)
	if w.Vendor.Steps {
		r.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: vendors.Unassign})
	}
	for i, to := range []*fleet.Agent{vm3, vm1} {
		was := eni
		r.Tell("migrate", "web", "--to", to.Name, "--layer", "copy")
		eni = r.CardIs(to, "web")
		if eni.ID == was.ID || eni.MAC == was.MAC || len(eni.IPv4) != 2 || eni.IPv4[1].Addr != addr {
			t.Errorf("it had %s of %+v, and has %+v", addr, was, eni)
		}
		r.Goes(was)
		assigned, unassigned := i+2, 0
		if w.Vendor.Steps {
			assigned, unassigned = i+1, i+1
		}
		// A call whose reply is lost is repeated, which the cloud takes for no error.
		if did := r.Effects(mark); did[create] != i+2 || did[assign] != assigned || did[vendors.Unassign] != unassigned {
			t.Errorf("after %d moves the cloud has done %v:\n%s", i+1, did, r.CloudLog(mark))
		}
	}
	onOne()
	r.Remove(vm1, "web", eni)
	for _, f := range r.Site.Cloud.Faults() {
		if f.Verb == cloudsim.LoseReply {
			t.Errorf("a fault has not struck: %+v", f)
		}
	}
}

// watchAddress looks which interfaces have the address, every few milliseconds until
// it is told to stop; it wants them never to be two, and always one where the cloud can
// have that.
func (r *Rig) watchAddress(addr netip.Addr) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for looks := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-over:
				looks.Stop()
				return
			case <-looks.C:
				if on := r.holders(addr); len(on) > 1 || len(on) == 0 && !r.Vendor.Steps {
					r.T.Errorf("%s is on %d interfaces: %+v", addr, len(on), on)
					looks.Stop()
					return
				}
			}
		}
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			close(over)
			<-ended
		}
	}
	r.T.Cleanup(stop)
	return stop
}
