//go:build linux

package cloudrig

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/nic"
)

// AColdStartAndAWarmOne: a container gets an interface of the cloud's own for its eth0, by four calls that
// change something at most, under the policies that we ship; and by none where one is
// in reserve: not even if the cloud takes no calls. Afterwards nothing is left there.
func (w World) AColdStartAndAWarmOne(t *testing.T, policies ...string) *Rig {
	t.Parallel()
	account := &iam.Account{}
	r := w.Start(t, Options{
		Type: w.Vendor.Type, Account: account,
		Networks: func(r *Rig) string {
			warm := r.Plain("warm")
			warm.More = []string{"pool: {min: 1, max: 1}"}
			return r.Vendor.Network(warm)
		},
		Allow: func(r *Rig) {
			r.Everything(account, Admin)
			account.Attach(r.About.AccessKey, "role/nicferryd", r.Shipped(account, "cloud", policies...)...)
		},
	})
	vm1 := r.Agents[0]
	spare := r.awaitSpare()
	mark := r.Mark()
	r.Run(vm1, "cold", "vpc")
	eni := r.CardIs(vm1, "cold")
	did := r.Effects(mark)
	changing, reading := 0, 0
	for _, n := range did {
		changing += n
	}
	for _, e := range r.Site.Cloud.Log(mark) {
		if strings.HasPrefix(e.API, "Describe") {
			reading++
		}
	}
	t.Logf("a cold start: %d calls that change something, %v, and %d that read", changing, did, reading)
	if changing > 4 || did[vendors.Create] != 1 || did[vendors.Attach] != 1 || reading > 20 {
		t.Errorf("want 4 and 20 at most:\n%s", r.CloudLog(mark))
	}
	r.Remove(vm1, "cold", eni)
	if did := r.Effects(mark); did[vendors.Create] != 1 || did[vendors.Detach] != 1 || did[vendors.Delete] != 1 {
		t.Errorf("one life was %v:\n%s", did, r.CloudLog(mark))
	}

	names := r.Inject(cloudsim.Fault{Verb: cloudsim.Throttle, Count: -1})
	mark = r.Mark()
	r.Run(vm1, "warm", "warm")
	if eni := r.CardIs(vm1, "warm"); eni.Tags[tagNIC] != string(spare) {
		t.Errorf("it has not got the spare %s: %+v", spare, eni)
	}
	if did := r.Effects(mark); len(did) > 0 {
		t.Errorf("a warm start: %v", did)
	}
	r.Site.Cloud.Clear(names...)
	if next := r.awaitSpare(); next == spare {
		t.Errorf("%s is in reserve, and given away", next)
	}
	r.Made(mark, 1)
	return r
}

// awaitSpare waits until one NIC is in reserve.
func (r *Rig) awaitSpare() (id nic.ID) {
	r.T.Helper()
	r.Await("a NIC to be in reserve", func() bool {
		all, err := r.NICs(r.T.Context())
		r.Must(err)
		for _, n := range all {
			if n.Phase == nic.PhaseSpare {
				id = n.ID
				return true
			}
		}
		return false
	})
	return id
}
