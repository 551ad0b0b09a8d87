package allocator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// F40: a card that is pulled out while a container has its VF: the claim says so, the VF
// is given to nobody, and the container gets one of another card, or waits for one.
func TestF40_ACardIsPulledOutUnderAContainer(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "either").ID, nic.ClaimReady, time.Minute)
		r.report(claim, nic.ObservedIn, true)
		claim = r.wants(claim.ID, nic.ClaimBound, time.Second)
		had := r.wanted(claim).Device.VF
		cards := twoCards(1)
		if cards[0].PCI == had.PF {
			cards = cards[1:]
		} else {
			cards = cards[:1]
		}
		if err := r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, Cards: &cards}); err != nil {
			t.Fatal(err)
		}
		other := r.wants(r.acquire("0002", "either").ID, nic.ClaimReady, time.Minute)
		if got := r.wanted(other).Device.VF; got.PF != cards[0].PCI {
			t.Errorf("another claim has %+v", got)
		}
		third := r.wants(r.acquire("0003", "either").ID, nic.ClaimRefused, time.Minute)
		r.cannot(claim, "no such virtual function")
		r.wait(time.Minute)
		now := r.wants(claim.ID, nic.ClaimRefused, time.Minute)
		if len(now.Conditions) == 0 || now.Conditions[0].Reason != nic.ReasonExhausted || !strings.Contains(now.Conditions[0].Message, "VF") {
			t.Errorf("without another VF it says %+v", now.Conditions)
		}
		r.release(third.ID)
		r.free(other)
		now = r.wants(claim.ID, nic.ClaimReady, 5*time.Minute)
		if d := r.wanted(now).Device; d.VF.PCI == had.PCI || d.VF.PF != cards[0].PCI || d.MAC != claim.Identity.MAC {
			t.Errorf("with one free it has %+v; had %+v", d, had)
		}
	})
}
