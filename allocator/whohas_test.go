package allocator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// P1: the address was let go, and another container's NIC has got it. It is not taken
// from there, whatever a look of before shows.
func TestP1_AnAddressIsNotTakenFromAThird(t *testing.T) {
	t.Parallel()
	byAddress(t, fake.Options{}, nic.Cloud{Movable: true}, func(t *testing.T, tr *trip) {
		was := tr.now()
		addr := was.Identity.Addrs[0].Addr()
		other := tr.acquireOther("a002", "vpc")
		tr.runs[sandbox("a002")] = true
		tr.until("bound", func() bool { return tr.claim(other).Phase == nic.ClaimBound })
		third := tr.nicOf(tr.claim(other)).Carrier
		tr.begin()
		tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
		rewrite(tr.rig, "nic/"+string(third), func(n *nic.NIC) { n.Seen.Addrs = append(n.Seen.Addrs, addr) })
		tr.leave()
		for range 30 {
			tr.obeyUnsound()
			tr.wait(time.Second)
		}
		if c := tr.cloud.Counts()[fake.OpAssign]; c.Calls != 0 || !strings.Contains(tr.says(), string(third)) {
			t.Errorf("assigned %+v, the claim says %q", c, tr.says())
		}
		rewrite(tr.rig, "nic/"+string(third), func(n *nic.NIC) { n.Seen.Addrs = n.Seen.Addrs[:len(n.Seen.Addrs)-1] })
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		tr.sameIdentity(was)
	})
}

// says is what the claim that moves says of itself.
func (tr *trip) says() string {
	var all []string
	for _, c := range tr.now().Conditions {
		all = append(all, c.Message)
	}
	return strings.Join(all, "; ")
}
