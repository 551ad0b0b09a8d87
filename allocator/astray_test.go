package allocator_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A seat ends while its address is between two NICs: nobody knows which has it, as the
// order to take it there was not answered. It is on the NIC's record again once it is
// seen there, and a container can have it; where it is not it is not waited for. The
// controller may die at any time, and does.
func TestF03_AnAddressOfASeatThatEndsOnItsWayIsFoundAgain(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("done %t, dies %t", done, dies), func(t *testing.T) {
				byAddress(t, fake.Options{}, nic.Cloud{Movable: true, Shared: true}, func(t *testing.T, tr *trip) {
					m := &moody{Provider: tr.cloud, asked: map[nic.ID]time.Time{}}
					tr.via = m
					tr.crash()
					endsOnItsWay(t, tr, m, done, dies)
				})
			})
		}
	}
}

func endsOnItsWay(t *testing.T, tr *trip, m *moody, done, dies bool) {
	addr := tr.now().Identity.Addrs[0].Addr()
	tr.begin()
	tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
	one, two := tr.seat().Carrier, tr.seat().Next
	other := tr.onVM2("a002")
	if got := tr.nicOf(tr.claim(other.ID)).Carrier; got != two {
		t.Fatalf("the other container of vm2 is on %s, not on %s", got, two)
	}
	if done {
		tr.cloud.Lose(fake.OpAssign)
	} else {
		m.set(provider.ErrUnknown, nil)
	}
	tr.leave()
	tr.until("asked", func() bool { return m.refused > 0 || tr.cloud.Counts()[fake.OpAssign].Effects > 0 })
	m.set(provider.ErrThrottled, nil)
	if err := errors.Join(tr.cloud.Detach(t.Context(), one, "vm1"), tr.cloud.Delete(t.Context(), one)); err != nil {
		t.Fatal(err)
	}
	tr.goBack()
	tr.bring("vm1")
	m.set(nil, nil)
	for range 120 {
		if dies {
			tr.crash()
		}
		tr.obeyUnsound()
		tr.wait(time.Second)
		for _, id := range []nic.ID{one, two} {
			n, _ := tr.alloc.NIC(t.Context(), id)
			if slices.Contains(n.Seen.Addrs, addr) && !slices.Equal(tr.cloud.Holders(addr), []nic.ID{id}) {
				t.Fatalf("%s is to have %s, which is on %v", id, addr, tr.cloud.Holders(addr))
			}
		}
	}
	tr.cancel()
	tr.until("in on vm1", tr.in("vm1"))
	n, err := tr.alloc.NIC(t.Context(), two)
	if err != nil || len(n.Astray) > 0 || slices.Contains(n.Seen.Addrs, addr) != done {
		t.Errorf("in the end it is %+v, %v", n.NIC, err)
	}
	if next := tr.onVM2("a003"); done && tr.claim(next.ID).Identity.Addrs[0].Addr() != addr {
		t.Errorf("the next container of vm2 has %v, not %s", tr.claim(next.ID).Identity.Addrs, addr)
	}
}

// onVM2 has a further container of vm2 run that is in network vpc.
func (tr *trip) onVM2(name string) nic.Claim {
	tr.t.Helper()
	claim, err := tr.alloc.Acquire(tr.t.Context(), onVM2(name), name, nic.Request{Interface: "eth0", Network: "vpc", DefaultRoute: true})
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.runs[sandbox(name)] = true
	tr.until("bound", func() bool { return tr.claim(claim.ID).Phase == nic.ClaimBound })
	return claim
}
