//go:build linux

package aws

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// A container moves by its address alone, there and back, while replies are lost and a
// call is throttled: the address is assigned once for each move, never is on two
// interfaces or on none, and each move makes one interface and leaves none behind.
func TestF03_AMoveByAddressWhileRepliesAreLost(t *testing.T) {
	t.Parallel()
	r := start(t, options{agents: 3, kind: "m5.xlarge", networks: func(r *rig) string {
		return fmt.Sprintf("  - {name: addr, provider: cloud, addressing: provider, aws: {subnets: [%s, %s], groups: [%s], movable: address}}\n",
			r.about.Subnets[0].ID, r.about.Subnets[1].ID, r.about.Group)
	}})
	vm1, vm3 := r.Agents[0], r.Agents[2]
	const create, assign = "CreateNetworkInterface", "AssignPrivateIpAddresses"
	mark := r.mark()
	r.run(vm1, "web", "addr")
	eni := r.cardIs(vm1, "web")
	if len(eni.IPv4) != 2 {
		t.Fatalf("its interface is %+v", eni)
	}
	addr := eni.IPv4[1].Addr
	if out := r.cli("migrate", "web", "--to", vm3.Name, "--layer", "copy", "--dry-run"); !strings.Contains(out, "the addresses go alone") || !strings.Contains(out, "another MAC") {
		t.Errorf("the plan is\n%s", out)
	}
	onOne := r.watchAddress(addr)
	r.inject(
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: create},
		cloudsim.Fault{Verb: cloudsim.LoseReply, API: assign},
		cloudsim.Fault{Verb: cloudsim.Throttle, API: assign, Nth: 3},
	)
	for i, to := range []*fleet.Agent{vm3, vm1} {
		was := eni
		r.cli("migrate", "web", "--to", to.Name, "--layer", "copy")
		eni = r.cardIs(to, "web")
		if eni.ID == was.ID || eni.MAC == was.MAC || len(eni.IPv4) != 2 || eni.IPv4[1].Addr != addr {
			t.Errorf("it had %s of %+v, and has %+v", addr, was, eni)
		}
		r.goes(was)
		// The SDK itself repeats the call whose reply is lost, which EC2 takes for no error.
		if did := r.effects(mark); did[create] != i+2 || did[assign] != i+2 || did["UnassignPrivateIpAddresses"] != 0 {
			t.Errorf("after %d moves the cloud has done %v:\n%s", i+1, did, r.cloudLog(mark))
		}
	}
	onOne()
	r.remove(vm1, "web", eni)
	for _, f := range r.site.Cloud.Faults() {
		if f.Verb == cloudsim.LoseReply {
			t.Errorf("a fault has not struck: %+v", f)
		}
	}
}

// watchAddress looks which interfaces have the address, every few milliseconds until
// it is told to stop; it wants that always to be one.
func (r *rig) watchAddress(addr netip.Addr) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for looks := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-over:
				looks.Stop()
				return
			case <-looks.C:
				if on := r.holders(addr); len(on) != 1 {
					r.t.Errorf("%s is on %d interfaces: %+v", addr, len(on), on)
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
	r.t.Cleanup(stop)
	return stop
}
