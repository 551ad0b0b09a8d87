package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A moody cloud refuses to assign addresses, shows what is of before, and notes which
// NICs it is asked for.
type moody struct {
	*fake.Provider
	mu      sync.Mutex
	refuses error                // every Assign
	shows   map[nic.ID]nic.Seen  // instead of what is so
	asked   map[nic.ID]time.Time // when Get was last asked for it
	refused int
	during  func() // once, in the middle of the next refusal
}

func (m *moody) Assign(ctx context.Context, id nic.ID, addrs []netip.Addr, from nic.ID) error {
	m.mu.Lock()
	if m.refuses != nil {
		defer m.mu.Unlock()
		m.refused++
		if m.during != nil {
			m.during()
			m.during = nil
		}
		return &provider.Error{Kind: m.refuses, Provider: "fake", Op: "assign", ID: id}
	}
	m.mu.Unlock()
	return m.Provider.Assign(ctx, id, addrs, from)
}

func (m *moody) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	all, err := m.Provider.Get(ctx, ids...)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.asked[id] = time.Now()
		if old, ok := m.shows[id]; ok && all != nil {
			all[id] = old
		}
	}
	return all, err
}

// look is what the cloud shows of the NICs now.
func (m *moody) look(t *testing.T, ids ...nic.ID) map[nic.ID]nic.Seen {
	t.Helper()
	all, err := m.Provider.Get(t.Context(), ids...)
	if err != nil || len(all) != len(ids) {
		t.Fatalf("%v, %v", all, err)
	}
	return all
}

func (m *moody) set(refuses error, shows map[nic.ID]nic.Seen) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuses, m.shows = refuses, shows
}

// inMoody is byAddress in a moody cloud, for networks of both kinds.
func inMoody(t *testing.T, cloud fake.Options, test func(t *testing.T, tr *trip, m *moody)) {
	t.Helper()
	for _, shared := range []bool{false, true} {
		byAddress(t, cloud, nic.Cloud{Movable: true, Shared: shared}, func(t *testing.T, tr *trip) {
			m := &moody{Provider: tr.cloud, asked: map[nic.ID]time.Time{}}
			tr.stop()
			tr.via = m
			tr.start()
			test(t, tr, m)
		})
	}
}

// seat is the record of the claim's seat.
func (tr *trip) seat() api.NICView {
	tr.t.Helper()
	n, err := tr.alloc.NIC(tr.t.Context(), tr.now().NIC)
	if err != nil {
		tr.t.Fatal(err)
	}
	return n
}

// The provider does not take the address, for which a right is missing or a limit is
// reached. It is where it was, so that the move can turn back: for that nothing has
// to be assigned.
func TestAMoveByAddressThatIsRefusedTurnsBack(t *testing.T) {
	t.Parallel()
	for _, why := range []error{provider.ErrDenied, provider.ErrThrottled, provider.ErrExhausted, provider.ErrElsewhere, provider.ErrInvalid} {
		inMoody(t, fake.Options{}, func(t *testing.T, tr *trip, m *moody) {
			was := tr.now()
			addr := was.Identity.Addrs[0].Addr()
			m.set(why, nil)
			tr.begin()
			tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
			tr.leave()
			for range 60 {
				tr.watched(addr, "refused", func() bool { return true })
				tr.obey()
				tr.wait(time.Second)
			}
			if at := tr.at(); m.refused < 2 || at.Node != "vm2" || at.Phase != nic.PhasePlanned {
				t.Fatalf("%v: %d times; it is %+v", why, m.refused, at)
			}
			refused := m.refused
			tr.goBack()
			tr.bring("vm1")
			tr.watched(addr, fmt.Sprintf("in on vm1 after %v", why), tr.in("vm1"))
			if m.refused != refused {
				t.Errorf("on the way back it was asked %d times", m.refused-refused)
			}
			tr.cancel()
			tr.sameIdentity(was)
			tr.nothingLeft()
		})
	}
}

// It turns back in the middle of a call that is refused.
func TestAMoveByAddressTurnsBackDuringARefusal(t *testing.T) {
	t.Parallel()
	inMoody(t, fake.Options{}, func(t *testing.T, tr *trip, m *moody) {
		was := tr.now()
		m.set(provider.ErrDenied, nil)
		m.during = func() { tr.bring("vm1") }
		tr.begin()
		tr.leave()
		tr.until("refused", func() bool { return m.refused > 0 })
		tr.goBack()
		tr.watched(was.Identity.Addrs[0].Addr(), "in on vm1", tr.in("vm1"))
		tr.cancel()
		tr.sameIdentity(was)
		tr.nothingLeft()
	})
}

// Where an order was not answered, what comes after it is no proof that the address is
// where it was, though the next is refused: it is assigned before it is used (P1).
func TestP1_ARefusalAfterALostAnswerProvesNothing(t *testing.T) {
	t.Parallel()
	inMoody(t, fake.Options{}, func(t *testing.T, tr *trip, m *moody) {
		addr := tr.now().Identity.Addrs[0].Addr()
		tr.begin()
		tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
		from := tr.seat().Carrier
		to := tr.seat().Next
		m.set(nil, m.look(t, from, to))
		tr.cloud.Lose(fake.OpAssign)
		tr.leave()
		tr.until("assigned", func() bool { return slices.Equal(tr.cloud.Holders(addr), []nic.ID{to}) })
		m.set(provider.ErrThrottled, m.shows)
		tr.goBack()
		tr.bring("vm1")
		for range 30 {
			tr.obey()
			tr.wait(time.Second)
			if tr.in("vm1")() {
				t.Fatalf("it is in on vm1, and its address on %v", tr.cloud.Holders(addr))
			}
		}
		m.set(nil, nil)
		tr.watched(addr, "in on vm1", tr.in("vm1"))
		tr.cancel()
		tr.nothingLeft()
	})
}

// P1: a container has moved there, and moves back at once. A look shows what was before
// both moves: the address on the NIC that it goes back to. No container has it there
// until it is.
func TestP1_AStaleLookIsNoProofThatAnAddressHasMoved(t *testing.T) {
	t.Parallel()
	inMoody(t, fake.Options{}, func(t *testing.T, tr *trip, m *moody) {
		addr := tr.now().Identity.Addrs[0].Addr()
		tr.begin()
		tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
		one, two := tr.seat().Carrier, tr.seat().Next
		old := m.look(t, one, two)
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		m.set(nil, old)
		tr.goBack()
		tr.bring("vm1")
		tr.until("in on vm1", func() bool {
			if tr.at().Node == "vm1" && tr.at().Phase == nic.PhaseHeld && !slices.Equal(tr.cloud.Holders(addr), []nic.ID{one}) {
				t.Fatalf("it is given to vm1, and its address is on %v", tr.cloud.Holders(addr))
			}
			return tr.in("vm1")()
		})
		m.set(nil, nil)
		tr.cancel()
		tr.nothingLeft()
	})
}

// A seat is at no provider: none is asked for one, also after a call that has failed.
func TestNoProviderIsAskedForASeat(t *testing.T) {
	t.Parallel()
	inMoody(t, fake.Options{}, func(t *testing.T, tr *trip, m *moody) {
		tr.cloud.Fail(fake.OpAssign, &provider.Error{Kind: provider.ErrThrottled})
		tr.begin()
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		tr.wait(10 * time.Minute)
		m.mu.Lock()
		asked := maps.Clone(m.asked)
		m.mu.Unlock()
		if at, was := asked[tr.now().NIC]; was {
			t.Errorf("asked for %s, last %v ago", tr.now().NIC, time.Since(at))
		}
		tr.nothingLeft()
	})
}

// The NIC that an address is to go back to was deleted by hand while the address was
// away. The claim gets another address on another NIC, instead of waiting for ever.
func TestTheNICToGoBackToIsDeletedByHand(t *testing.T) {
	t.Parallel()
	inMoody(t, fake.Options{}, func(t *testing.T, tr *trip, _ *moody) {
		was := tr.now()
		tr.begin()
		tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
		one := tr.seat().Carrier
		tr.leave()
		tr.until("given to vm2", func() bool { return tr.at().Node == "vm2" && tr.at().Phase == nic.PhaseHeld })
		tr.wait(time.Minute)
		if err := errors.Join(tr.cloud.Detach(t.Context(), one, "vm1"), tr.cloud.Delete(t.Context(), one)); err != nil {
			t.Fatal(err)
		}
		tr.goBack()
		tr.bring("vm1")
		for range 60 {
			tr.obeyUnsound()
			tr.wait(time.Second)
		}
		if at := tr.at(); at.NIC != "" || !at.AddrLost {
			t.Fatalf("after a minute it waits for %+v", at)
		}
		tr.cancel()
		tr.until("in on vm1", tr.in("vm1"))
		if now := tr.seat(); now.Carrier == one || now.ID == was.NIC {
			t.Errorf("its seat is %+v", now)
		}
		tr.nothingLeft()
	})
}
