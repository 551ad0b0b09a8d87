package allocator_test

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A release from before seats has worked on the store while a container had a NIC from
// which its address can go alone: it left out what the one is of the other. The NIC is
// not taken from under the container.
func TestF54_ANICOfOneSeatIsForgottenByAnOlderRelease(t *testing.T) {
	t.Parallel()
	byAddress(t, fake.Options{}, nic.Cloud{Movable: true}, func(t *testing.T, tr *trip) {
		was := tr.nicOf(tr.now())
		tr.stop()
		rewrite(tr.rig, "nic/"+string(was.ID), func(n *nic.NIC) { n.Carrier = "" })
		rewrite(tr.rig, "nic/"+string(was.Carrier), func(n *nic.NIC) {
			n.Carries, n.Alone, n.Seats, n.Room, n.Spec.Cloud.Secondary = false, false, 0, 0, 0
		})
		tr.start()
		for range 3 {
			tr.wait(5 * time.Second)
			tr.obeyUnsound()
			tr.look(true)
		}
		tr.wait(30 * time.Second)
		if n := tr.nicOf(tr.now()); n.Carrier != was.Carrier || tr.now().Phase != nic.ClaimBound || tr.cloud.Counts()[fake.OpDetach].Calls > 0 {
			t.Fatalf("the container has %+v, the cloud has %+v", n, tr.cloud.World())
		}
		tr.begin()
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		tr.finish()
		tr.nothingLeft()
	})
}

// An address is to be given back to a NIC that has lost it, and meanwhile its container
// has gone to another NIC with it: that is no loss.
func TestF03_AnAddressThatHasMovedMeanwhileIsNotLost(t *testing.T) {
	robbedRig(t, func(t *testing.T, r *rig, cloud *robbed) {
		all := r.seats(10*time.Second, "0001", "0002", "0003")
		// The last is the one that is alone on a NIC.
		slices.SortStableFunc(all, func(a, b nic.Claim) int { return cmp.Compare(r.seatsBeside(b), r.seatsBeside(a)) })
		addr := all[0].Identity.Addrs[0].Addr()
		seat, to := r.nicOf(all[0]), r.nicOf(all[2]).Carrier
		meanwhile := func() {
			rewrite(r, "nic/"+string(seat.Carrier), func(n *nic.NIC) {
				n.Seen.Addrs = slices.DeleteFunc(n.Seen.Addrs, func(a netip.Addr) bool { return a == addr })
				n.Seats--
			})
			var free netip.Addr
			rewrite(r, "nic/"+string(to), func(n *nic.NIC) {
				at := slices.IndexFunc(n.Seen.Addrs[1:], func(a netip.Addr) bool { return a != all[2].Identity.Addrs[0].Addr() }) + 1
				free = n.Seen.Addrs[at]
				n.Seen.Addrs[at] = addr
				n.Seats++
			})
			if err := errors.Join(
				cloud.Provider.Unassign(t.Context(), to, []netip.Addr{free}),
				cloud.Provider.Assign(t.Context(), to, []netip.Addr{addr}, seat.Carrier),
			); err != nil {
				t.Error(err)
			}
			place, err := store.CreateJSON("seat/"+string(to)+"/"+addr.String(), nic.Reservation{Schema: nic.Schema, Claim: seat.Holder, Owner: "nic/" + string(seat.ID), Network: "vpc"})
			if err != nil {
				t.Error(err)
			}
			r.commit(place)
			rewrite(r, "nic/"+string(seat.ID), func(n *nic.NIC) { n.Carrier = to })
			cloud.change(func() { clear(cloud.off) })
		}
		cloud.change(func() { cloud.off[addr], cloud.theirs[addr], cloud.meanwhile = true, true, meanwhile })
		r.wait(40 * time.Second)
		cloud.change(func() {
			if cloud.meanwhile != nil {
				t.Fatal("the sweep has not tried")
			}
		})
		if c := r.claim(all[0].ID); c.Phase != nic.ClaimBound || c.NIC != seat.ID || len(c.Setbacks) > 0 {
			t.Errorf("its container has %+v", c)
		}
	})
}

// seatsBeside is how many seats there are on the NIC that a claim's seat is on.
func (r *rig) seatsBeside(claim nic.Claim) int {
	r.t.Helper()
	carrier, err := r.alloc.NIC(r.t.Context(), r.nicOf(claim).Carrier)
	if err != nil {
		r.t.Fatal(err)
	}
	return carrier.Seats
}

// Somebody deletes a NIC that is in reserve for containers which share one. No node
// could miss it: the sweep finds it, and another is made.
func TestF09_ASpareForSeatsIsDeletedByHand(t *testing.T) {
	sharedPool(t, 4, nic.Pool{Min: 1, Max: 1}, 0, func(t *testing.T, r *rig) {
		r.stop()
		r.startWith(allocator.Options{
			Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
			Sweep: &allocator.Sweep{Every: 5 * time.Second, Grace: 10 * time.Second},
		})
		r.live(10 * time.Second)
		was := r.count(nic.PhaseSpare, 1)[0]
		if err := r.cloud.Detach(t.Context(), was.ID, "vm1"); err != nil {
			t.Fatal(err)
		}
		r.wait(3 * time.Second)
		if err := r.cloud.Delete(t.Context(), was.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.live(10 * time.Second)
		if now := r.count(nic.PhaseSpare, 1)[0]; now.ID == was.ID || len(r.cloud.World()) != 1 {
			t.Fatalf("in reserve is %+v, the cloud has %+v", now, r.cloud.World())
		}
		if c := r.acquire("0001", "vpc"); c.Phase != nic.ClaimReady {
			t.Errorf("a claim is %+v", c)
		}
	})
}
