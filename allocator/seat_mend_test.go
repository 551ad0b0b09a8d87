package allocator_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A robbed cloud is one where somebody takes addresses off NICs by hand, and may have
// given them to others.
type robbed struct {
	*fake.Provider
	mu     sync.Mutex          // guards what follows
	off    map[netip.Addr]bool // they are not on their NICs
	theirs map[netip.Addr]bool // they are on others
	lose   int                 // replies to Assign
	asked  int                 // how often Assign was called
	// meanwhile is done once, before Assign answers; nil for nothing.
	meanwhile func()
}

// change has the test do something to the cloud.
func (r *robbed) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

func (r *robbed) rob(all map[nic.ID]nic.Seen) map[nic.ID]nic.Seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, s := range all {
		s.Addrs = slices.DeleteFunc(slices.Clone(s.Addrs), func(a netip.Addr) bool { return r.off[a] })
		all[id] = s
	}
	return all
}

func (r *robbed) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	all, err := r.Provider.Get(ctx, ids...)
	return r.rob(all), err
}

func (r *robbed) List(ctx context.Context) ([]nic.Seen, error) {
	list, err := r.Provider.List(ctx)
	for i, s := range list {
		list[i] = r.rob(map[nic.ID]nic.Seen{"": s})[""]
	}
	return list, err
}

func (r *robbed) Assign(_ context.Context, _ nic.ID, addrs []netip.Addr, from nic.ID) error {
	var meanwhile func()
	r.change(func() {
		r.asked++
		meanwhile, r.meanwhile = r.meanwhile, nil
	})
	if meanwhile != nil {
		meanwhile()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		if r.theirs[a] && from == "" {
			return &provider.Error{Kind: provider.ErrElsewhere, Err: errors.New("assigned, but move is not allowed")}
		}
	}
	for _, a := range addrs {
		delete(r.off, a)
	}
	if r.lose > 0 {
		r.lose--
		return &provider.Error{Kind: provider.ErrUnknown, Err: errors.New("the reply was lost")}
	}
	return nil
}

func (r *robbed) Unassign(context.Context, nic.ID, []netip.Addr) error { return nil }

// robbedRig is shared with a robbed cloud, and a sweep.
func robbedRig(t *testing.T, test func(t *testing.T, r *rig, cloud *robbed)) {
	t.Helper()
	shared(t, 4, 0, func(t *testing.T, r *rig) {
		r.stop()
		cloud := &robbed{Provider: r.cloud, off: map[netip.Addr]bool{}, theirs: map[netip.Addr]bool{}}
		r.startWith(allocator.Options{
			Store: r.store, Providers: map[string]provider.Provider{"fake": cloud}, Networks: r.networks,
			Sweep: &allocator.Sweep{Every: 5 * time.Second, Grace: 10 * time.Second},
		})
		test(t, r, cloud)
	})
}

// Somebody takes the address of a container off the NIC that it shares. The sweep has
// it given back, and nobody notices; also where the reply is lost.
func TestF03_AnAddressTakenOffByHandIsGivenBack(t *testing.T) {
	for lost := range 2 {
		robbedRig(t, func(t *testing.T, r *rig, cloud *robbed) {
			all := r.seats(10*time.Second, "0001", "0002")
			cloud.change(func() { cloud.off[all[0].Identity.Addrs[0].Addr()], cloud.lose = true, lost })
			r.live(40 * time.Second)
			cloud.change(func() {
				if len(cloud.off) != 0 || cloud.asked == 0 || cloud.asked > 1+lost {
					t.Errorf("off are %v after %d calls", cloud.off, cloud.asked)
				}
			})
			for i, c := range r.seats(time.Second, "0001", "0002") {
				if c.Phase != nic.ClaimBound || c.NIC != all[i].NIC || len(c.Setbacks) > 0 {
					t.Errorf("a claim is %+v, was %+v", c, all[i])
				}
			}
		})
	}
}

// An address that another's NIC has by now is not taken from there: the container gets
// another, is told why, and the one beside it keeps its own.
func TestAStolenAddressIsLeft(t *testing.T) {
	robbedRig(t, func(t *testing.T, r *rig, cloud *robbed) {
		all := r.seats(10*time.Second, "0001", "0002")
		addr := all[0].Identity.Addrs[0].Addr()
		cloud.change(func() { cloud.off[addr], cloud.theirs[addr] = true, true })
		r.live(40 * time.Second)
		now := r.seats(10*time.Second, "0001", "0002")
		if c := now[0]; c.Phase != nic.ClaimBound || c.Identity.Addrs[0].Addr() == addr || len(c.Setbacks) != 1 || !strings.Contains(c.Setbacks[0].Message, "move is not allowed") {
			t.Errorf("it has %+v", c)
		}
		if c := now[1]; c.Phase != nic.ClaimBound || c.NIC != all[1].NIC || len(c.Setbacks) > 0 {
			t.Errorf("the one beside it is %+v", c)
		}
		asked := 0
		cloud.change(func() { asked = cloud.asked })
		r.ends(time.Second, now[0])
		if third := r.seats(30*time.Second, "0003")[0]; third.Phase != nic.ClaimBound || third.Identity.Addrs[0].Addr() == addr {
			t.Errorf("another gets it: %+v", third)
		}
		cloud.change(func() {
			if cloud.asked != asked {
				t.Errorf("it is asked for again and again: %d times", cloud.asked)
			}
		})
	})
}

// rewrite has a record say something else.
func rewrite[T any](r *rig, key string, edit func(*T)) {
	r.t.Helper()
	rec, err := r.store.Get(r.t.Context(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := store.DecodeJSON[T](rec)
	if err != nil {
		r.t.Fatal(err)
	}
	edit(&v)
	op, err := store.UpdateJSON(rec.Key, v, rec.Rev)
	if err != nil {
		r.t.Fatal(err)
	}
	r.commit(op)
}

func (r *rig) commit(ops ...store.Op) {
	r.t.Helper()
	if _, err := r.store.Commit(r.t.Context(), ops...); err != nil {
		r.t.Fatal(err)
	}
}

// A release from before seats has worked on the store: it leaves out what it does not
// know, and ends a seat as it ends a NIC. Back with this one nothing that serves a
// container is touched, and the rest is mended.
func TestF54_SeatsAreForgottenByAnOlderRelease(t *testing.T) {
	for name, harm := range map[string]func(r *rig, all []nic.Claim, carrier nic.ID){
		"records rewritten": func(r *rig, all []nic.Claim, carrier nic.ID) {
			for _, c := range all {
				rewrite(r, "nic/"+string(c.NIC), func(n *nic.NIC) { n.Carrier = "" })
			}
			rewrite(r, "nic/"+string(carrier), func(n *nic.NIC) { n.Carries, n.Seats, n.Spec.Cloud.Secondary = false, 0, 0 })
		},
		"a seat ended": func(r *rig, all []nic.Claim, _ nic.ID) {
			for _, key := range []string{"nic/" + string(all[1].NIC), "claim/" + string(all[1].ID), "on/vm1/" + string(all[1].NIC), "observed/" + string(all[1].NIC), "owner/" + all[1].Owner.Key()} {
				rec, err := r.store.Get(r.t.Context(), key)
				if err != nil {
					r.t.Fatal(key, err)
				}
				r.commit(store.Delete(key, rec.Rev))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			shared(t, 4, 0, func(t *testing.T, r *rig) {
				all := r.seats(10*time.Second, "0001", "0002")
				carrier := r.count(nic.PhaseCarrying, 1)[0].ID
				before := r.changes()
				r.stop()
				harm(r, all, carrier)
				r.start()
				r.wait(10 * time.Second)
				for range 3 {
					r.look(true)
					r.wait(5 * time.Second)
				}
				r.live(5 * time.Second)
				r.faultless(false)
				if c := r.claim(all[0].ID); c.Phase != nic.ClaimBound || c.NIC != all[0].NIC || r.nicOf(c).Carrier != carrier || r.changes() != before {
					t.Errorf("the container has %+v on %+v; %s, before %s", c, r.nicOf(c), r.changes(), before)
				}
				for _, c := range all {
					if left := r.claim(c.ID); left.ID != "" {
						r.giveBack(left)
					}
				}
				r.live(20 * time.Second)
				r.empty()
			})
		})
	}
}

// Somebody detaches and deletes the NIC that two containers share. Their node misses
// it; they get seats on another, are told why, and nothing is left of the first.
func TestF09_ASharedNICIsDeletedByHand(t *testing.T) {
	shared(t, 4, 0, func(t *testing.T, r *rig) {
		all := r.seats(10*time.Second, "0001", "0002")
		was := r.count(nic.PhaseCarrying, 1)[0]
		if err := r.cloud.Detach(t.Context(), was.ID, "vm1"); err != nil {
			t.Fatal(err)
		}
		r.wait(3 * time.Second)
		if err := r.cloud.Delete(t.Context(), was.ID); err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			r.say(nic.Observed{
				NIC: c.NIC, Claim: c.ID, Epoch: c.Epoch, State: nic.ObservedWaiting, Running: true,
				Conditions: []nic.Condition{{Reason: nic.ReasonWaitingForNIC, Message: "no NIC with that MAC", Since: time.Now()}},
			})
		}
		r.wait(31 * time.Second)
		r.live(10 * time.Second)
		for i, c := range r.seats(20*time.Second, "0001", "0002") {
			if c.ID != all[i].ID || c.Phase != nic.ClaimBound || r.nicOf(c).Carrier == was.ID ||
				len(c.Setbacks) != 1 || !strings.Contains(c.Setbacks[0].Message, "knows nothing of the NIC any more") {
				t.Errorf("a claim is %+v", c)
			}
		}
		if left := r.count(nic.PhaseCarrying, 1); left[0].ID == was.ID || len(r.cloud.World()) != 1 {
			t.Errorf("left are %+v, the cloud has %+v", left, r.cloud.World())
		}
	})
}
