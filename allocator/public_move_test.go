package allocator_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// F64: a container keeps its public address when it moves, forth, back and for good:
// with its NIC, or on the next one.
func TestF64_APublicAddressMovesAlong(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, tr *trip) {
		if tr.now().Identity.Given { // a claim whose address goes alone has none
			return
		}
		tr.change("web", func(n *nic.Network) { n.Cloud.PublicIP = true })
		tr.until("public", func() bool { return tr.now().Identity.Public.IsValid() })
		addr := tr.public(tr.claims[0])
		tr.begin()
		tr.leave()
		here := func(node string) {
			t.Helper()
			tr.until("in "+node, tr.in(node))
			tr.wait(time.Second)
			if got := tr.public(tr.claims[0]); got != addr {
				t.Errorf("in %s it has %s; want %s", node, got, addr)
			}
		}
		here("vm2")
		tr.goBack()
		tr.bring("vm1")
		here("vm1")
		tr.crash()
		tr.stopAndStart()
		tr.bring("vm2")
		here("vm2")
		tr.finish()
		if got := tr.public(tr.claims[0]); got != addr {
			t.Errorf("having moved it has %s; want %s", got, addr)
		}
		calls, want := tr.cloud.Counts()[fake.OpPublish].Calls, 1
		if tr.travel() == provider.Rebuild {
			want = 4 // once for each NIC
		}
		if calls != want {
			t.Errorf("it was asked for %d times; want %d", calls, want)
		}
		tr.nothingLeft()
	})
}

// A NIC that another claim is to have leads the last one's public address to nobody:
// it is in reserve once that is given back, and deleted where it cannot be.
func TestANICInReserveHasNoPublicAddress(t *testing.T) {
	t.Parallel()
	for kind, reused := range map[error]bool{nil: true, provider.ErrDenied: false, provider.ErrThrottled: false} {
		bubble(t, fake.Options{CallTime: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
			r.change("web", func(n *nic.Network) { n.Cloud.PublicIP, n.Pool = true, nic.Pool{Max: 1, Idle: nic.Duration(time.Hour)} })
			claim := r.acquire("a001", "web")
			r.live(10 * time.Second)
			claim = r.claim(claim.ID)
			addr := r.public(claim.ID)
			for range 3 {
				if kind != nil {
					r.cloud.Fail(fake.OpUnpublish, kind)
				}
			}
			r.release(claim.ID)
			kept := false
			for range 100 {
				r.live(100 * time.Millisecond)
				all := r.nics()
				for _, n := range append(all[nic.PhaseCooling], all[nic.PhaseSpare]...) {
					if p := r.cloud.Public()[claim.ID]; p.NIC == n.ID {
						t.Fatalf("%s leads to %s, which is %s", addr, n.ID, n.Phase)
					}
					kept = kept || n.ID == claim.NIC
				}
			}
			if kept != reused || r.claim(claim.ID).ID != "" {
				t.Errorf("%v: kept in reserve: %t; want %t; the claim is %+v", kind, kept, reused, r.claim(claim.ID))
			}
			r.wait(5 * time.Minute)
			if left := r.cloud.Public(); len(left) > 0 {
				t.Errorf("%v: left are %v", kind, left)
			}
		})
	}
}
