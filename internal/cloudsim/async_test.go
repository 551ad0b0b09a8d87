package cloudsim_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// What is made is there at once unless it takes time; what is deleted is to be seen
// until it is gone, also where that is stuck and asked for again.
func TestAsynchronousDeleting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Asynchronous: true, Latency: cloudsim.Latency{Delete: fixed.Delete}})
		e := w.create(cloudsim.CreateInterface{})
		if e.Status != cloudsim.StatusAvailable {
			t.Errorf("made, it is %s", e.Status)
		}
		must(w.Inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: "deleting"}))(t)
		gone := func() error { return w.DeleteInterface(t.Context(), w.call, e.ID) }
		must("", gone())(t)
		if time.Sleep(time.Hour); w.state(e.ID) != "deleting" {
			t.Errorf("stuck, it is %s", w.state(e.ID))
		}
		if err := w.enter(e.ID, ""); code(err) != "IncorrectState" {
			t.Errorf("to attach what is being deleted: %v", err)
		}
		must("", gone())(t)
		if time.Sleep(fixed.Delete.Min); w.state(e.ID) != "InvalidNetworkInterfaceID.NotFound" {
			t.Errorf("at last it is %s", w.state(e.ID))
		}
	})
}

// A member has a VLAN of its own on its trunk and no card, and goes with the trunk.
func TestTrunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slow(t)
		trunk := w.trunk()
		a, b := w.plugged(cloudsim.CreateInterface{}, trunk.ID), w.plugged(cloudsim.CreateInterface{}, trunk.ID)
		if x, y := a.Attachment, b.Attachment; x.Trunk != trunk.ID || x.VLAN == 0 || x.VLAN == y.VLAN || x.Status != cloudsim.Attached {
			t.Errorf("members are %+v and %+v", x, y)
		}
		if got := w.get(trunk.ID).Members; !slices.Equal(got, []string{a.ID, b.ID}) {
			t.Errorf("the trunk has %v", got)
		}
		if err := w.enter(w.ready(cloudsim.CreateInterface{}).ID, trunk.ID); code(err) != "AttachmentLimitExceeded" {
			t.Errorf("one member more than there can be: %v", err)
		}
		w.plugged(cloudsim.CreateInterface{}, "") // a card is free still
		i := must(w.DescribeInstances(t.Context(), w.call, cloudsim.Describe{IDs: []string{w.node.ID}}))(t).Items[0]
		if len(i.Interfaces) != 3 {
			t.Errorf("the instance has %d cards", len(i.Interfaces))
		}
		must("", w.detach(a.Attachment.ID, false))(t)
		waits()
		if again := w.plugged(cloudsim.CreateInterface{}, trunk.ID); again.Attachment.VLAN != a.Attachment.VLAN {
			t.Errorf("the next has VLAN %d, and %d is free", again.Attachment.VLAN, a.Attachment.VLAN)
		}
		must(w.TerminateInstances(t.Context(), w.call, w.node.ID))(t)
		waits()
		if got := w.state(b.ID); got != "available" {
			t.Errorf("without its instance the member is %s", got)
		}
		if got := w.get(trunk.ID); len(got.Members) != 0 || got.Attachment != nil {
			t.Errorf("without its instance the trunk is %+v", got)
		}
	})
}

// The members of a trunk that vanishes are loose too.
func TestTrunkVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slow(t)
		e := w.ready(cloudsim.CreateInterface{Kind: "trunk"})
		must(w.Inject(cloudsim.Fault{Verb: cloudsim.AttachThenVanish, Delay: seconds(3600)}))(t)
		must("", w.enter(e.ID, ""))(t)
		waits()
		member := w.plugged(cloudsim.CreateInterface{}, e.ID)
		if time.Sleep(time.Hour); w.state(member.ID) != "available" || len(w.get(e.ID).Members) != 0 {
			t.Errorf("the member is %s, the trunk %+v", w.state(member.ID), w.get(e.ID))
		}
	})
}

// A public address is on its way for a time, in which nothing else can be done with it,
// and what it was to be on may be gone by the end.
func TestBindingTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slow(t)
		p, e := w.public(), w.ready(cloudsim.CreateInterface{})
		bind := cloudsim.AssociateAddress{Allocation: p.Allocation, Interface: e.ID, Token: "t"}
		see := func() cloudsim.Address {
			return must(w.DescribeAddresses(t.Context(), w.call, cloudsim.Describe{IDs: []string{p.Allocation}}))(t).Items[0]
		}
		first := must(w.associate(bind))(t)
		if got := see(); got.Between != cloudsim.Binding || got.Interface != e.ID {
			t.Errorf("on its way it is %+v", got)
		}
		if err := w.unbind(p.Allocation, e.ID); code(err) != "IncorrectState" {
			t.Errorf("to take it off on its way: %v", err)
		}
		if again := must(w.associate(bind))(t); again != first {
			t.Errorf("by the same token it is %s, and was %s", again, first)
		}
		waits()
		if got := w.get(e.ID).IPv4[0].Association; got == nil || got.Allocation != p.Allocation || see().Between != "" {
			t.Errorf("it is not there: %+v, %+v", got, see())
		}
		must("", w.unbind(p.Allocation, e.ID))(t)
		if got := see(); got.Between != cloudsim.Unbinding {
			t.Errorf("on its way off it is %+v", got)
		}
		waits()
		bind.Token = ""
		must(w.associate(bind))(t)
		must("", w.DeleteInterface(t.Context(), w.call, e.ID))(t)
		waits()
		if got := see(); got.Interface != "" || got.Between != "" {
			t.Errorf("without the interface it is %+v", got)
		}
		must("", w.ReleaseAddress(t.Context(), w.call, p.Allocation))(t)
	})
}

// A floating address has members, one of which has it, and is nobody else's.
func TestHaVips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slow(t)
		a, b := w.node.Interfaces[0].ID, w.another.Interfaces[0].ID
		v := w.float(cloudsim.HaVipMember{Interface: a}, cloudsim.HaVipMember{Interface: b})
		see := func() cloudsim.HaVip {
			return must(w.DescribeHaVips(t.Context(), w.call, cloudsim.Describe{IDs: []string{v.ID}}))(t).Items[0]
		}
		if got := see(); got.Status != cloudsim.HaVipInUse || got.Master != a || len(got.Members) != 2 || !got.OfInterfaces {
			t.Errorf("it is %+v", got)
		}
		if err := w.refused(cloudsim.CreateInterface{Primary: v.Addr}); code(err) != "InvalidIPAddress.InUse" {
			t.Errorf("an interface gets its address: %v", err)
		}
		must("", w.ClaimHaVip(v.ID, b))(t)
		if got := see().Master; got != b {
			t.Errorf("%s has it", got)
		}
		if err := w.ClaimHaVip(v.ID, "eni-"+nobody); err == nil {
			t.Error("who is no member has it")
		}
		must(w.TerminateInstances(t.Context(), w.call, w.another.ID))(t)
		waits()
		if got := see(); got.Master != a || len(got.Members) != 1 {
			t.Errorf("without its master it is %+v", got)
		}
		must("", w.UnassociateHaVip(t.Context(), w.call, cloudsim.HaVipMember{HaVip: v.ID, Interface: a}))(t)
		waits()
		must("", w.DeleteHaVip(t.Context(), w.call, v.ID, ""))(t)
		if got := see().Status; got != cloudsim.HaVipDeleting {
			t.Errorf("being deleted it is %s", got)
		}
		waits()
		if got := must(w.DescribeHaVips(t.Context(), w.call, cloudsim.Describe{}))(t).Items; len(got) != 0 {
			t.Errorf("there is %+v", got)
		}
		w.create(cloudsim.CreateInterface{Primary: v.Addr})
	})
}

// A rack is a bench that can have VLANs on cards.
type rack struct {
	*bench
	vlans map[string]int // by the trunk's and the member's MAC
}

func (r rack) Join(_ context.Context, _ string, trunk cloudsim.MAC, vlan int, mac cloudsim.MAC) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vlans[trunk.String()+mac.String()] = vlan
	return nil
}

func (r rack) Leave(_ context.Context, _ string, trunk cloudsim.MAC, _ int, mac cloudsim.MAC) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.vlans, trunk.String()+mac.String())
	return nil
}

func (r rack) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.vlans)
}

// Members are plugged in where that can be done, and leave with their trunk; where it
// cannot, attaching fails.
func TestMembersArePluggedIn(t *testing.T) {
	for _, able := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := &bench{in: map[string]string{}}
			r := rack{b, map[string]int{}}
			o := cloudsim.Options{Asynchronous: true, Types: trunkTypes, Latency: fixed, Plugger: b}
			if able {
				o.Plugger = r
			}
			w := newWorld(t, o)
			trunk := w.trunk()
			member := w.plugged(cloudsim.CreateInterface{}, trunk.ID)
			if !able {
				if member.Status != cloudsim.StatusAvailable {
					t.Errorf("without VLANs the member is %+v", member)
				}
				return
			}
			if got := r.vlans[trunk.MAC.String()+member.MAC.String()]; got != member.Attachment.VLAN || b.has(member.MAC) != "" {
				t.Errorf("it has VLAN %d, and says %+v", got, member.Attachment)
			}
			must("", w.detach(member.Attachment.ID, false))(t)
			if waits(); r.count() != 0 {
				t.Errorf("detached it has %v", r.vlans)
			}
			w.plugged(cloudsim.CreateInterface{}, trunk.ID)
			must(w.TerminateInstances(t.Context(), w.call, w.node.ID))(t)
			waits()
			w.get(member.ID) // what is due happens when somebody asks, and only then is anything pulled
			if waits(); r.count() != 0 || b.has(trunk.MAC) != "" {
				t.Errorf("without the instance there is %v, %v", r.vlans, b.in)
			}
		})
	}
}
