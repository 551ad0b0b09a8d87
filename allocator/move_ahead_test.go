package allocator_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// wish is what is wanted of a NIC on a node.
func (tr *trip) wish(node string, id nic.ID) (nic.Wanted, bool) {
	tr.t.Helper()
	all, _, err := tr.alloc.Wanted(tr.t.Context(), node, 0)
	if err != nil {
		tr.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(w nic.Wanted) bool { return w.NIC == id })
	if i < 0 {
		return nic.Wanted{}, false
	}
	return all[i], true
}

// The target's node is told of a NIC that is carried to it while that is still on
// its way, in the words that hold when it is there. It may have it before we know:
// so it is asked for its word before the NIC goes back.
func TestTheTargetOfAMoveIsToldAhead(t *testing.T) {
	travels(t, fake.Options{Travel: provider.Carry, Latency: fake.Latency{Attach: time.Second, Detach: time.Second}}, func(t *testing.T, tr *trip) {
		was := tr.now()
		tr.begin()
		tr.aim()
		if w, ok := tr.wish("vm2", was.NIC); ok {
			t.Errorf("vm2 is told before the NIC is to go there: %+v", w)
		}
		tr.frozen["vm1"] = true
		tr.leave()
		ahead, ok := tr.wish("vm2", was.NIC)
		if !ok || ahead.Gone || ahead.Owner.Sandbox != sandbox("b001") || ahead.Device.MAC != was.Identity.MAC {
			t.Errorf("vm2 is told %t, %+v", ok, ahead)
		}
		// What it says of it by then counts for nothing.
		said := nic.Observed{NIC: ahead.NIC, Claim: ahead.Claim, Epoch: ahead.Epoch, Turn: ahead.Turn, State: nic.ObservedIn, Running: true}
		if err := tr.alloc.Report(t.Context(), "vm2", nic.NodeReport{Session: tr.sessions["vm2"], NICs: []nic.Observed{said}}); err != nil {
			t.Fatal(err)
		}
		if at := tr.at(); at.Node != "vm1" || at.Seen == nic.ObservedIn {
			t.Errorf("by the word of vm2 it is %+v", at)
		}
		tr.frozen["vm1"] = false
		tr.until("planned for vm2", func() bool { at := tr.at(); return at.Node == "vm2" && at.Phase == nic.PhasePlanned })
		if now, ok := tr.wish("vm2", was.NIC); !ok || !reflect.DeepEqual(now, ahead) {
			t.Errorf("vm2 is told %t, %+v, and was told %+v", ok, now, ahead)
		}
		tr.frozen["vm2"] = true
		tr.goBack()
		tr.bring("vm1")
		tr.wait(10 * time.Second)
		if at := tr.at(); at.Node != "vm2" || at.Phase != nic.PhaseReturning {
			t.Errorf("without the word of vm2 it is %+v", at)
		}
		tr.frozen["vm2"] = false
		tr.until("in on vm1", tr.in("vm1"))
		tr.cancel()
		tr.sameIdentity(was)
	})
}
