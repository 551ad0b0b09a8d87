package eni

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/calls"
)

// slow is a cloud unlike EC2: slots have no numbers, an attachment is told by its
// instance alone, and what was asked for begins, which is all that is said of it. A test
// says when it is done. Package aws tests the rest, on a cloud in memory.
type slow struct {
	Cloud // the verbs that nothing here asks for

	iface Interface // the only one; none if it has no ID
	used  int       // interfaces of the only instance
	calls map[string]int
	says  error // of an attach that takes place all the same, at once
}

const (
	theNIC      = nic.ID("nic-0123456789abcdef")
	theInstance = nic.InstanceID("i-1")
	theSubnet   = "subnet-1"
)

func (s *slow) Interfaces(context.Context, []nic.ID) ([]Interface, error) {
	if s.iface.ID == "" {
		return nil, nil
	}
	return []Interface{s.iface}, nil
}

func (s *slow) Instances(context.Context, []nic.InstanceID) (map[nic.InstanceID]Instance, error) {
	used := map[int]bool{}
	for i := range s.used {
		used[i] = true
	}
	return map[nic.InstanceID]Instance{theInstance: {Zone: "a", Kind: "small", Power: Running, Used: used}}, nil
}

func (s *slow) Types(context.Context, []string) (map[string]Capacity, error) {
	return map[string]Capacity{"small": {NICs: 2, Addrs: 4}}, nil
}

func (s *slow) Subnets(context.Context, []string) (map[string]Subnet, error) {
	return map[string]Subnet{theSubnet: {ID: theSubnet, Zone: "a", Free: 9, Nets: []nic.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}}}}, nil
}

func (s *slow) Create(_ context.Context, w Wanted) (Interface, error) {
	s.calls["create"]++
	s.iface = Interface{ID: "eni-1", Subnet: w.Spec.Cloud.Subnet, State: nic.StateAvailable, Tags: w.Tags, Tied: true, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}
	return s.iface, nil
}

func (s *slow) Attach(_ context.Context, _ Interface, instance nic.InstanceID, _ int) (string, error) {
	s.calls["attach"]++
	if s.says != nil {
		s.plugged(nic.StateAttached)
	}
	return string(instance), s.says
}

func (s *slow) Detach(context.Context, Interface) error {
	s.calls["detach"]++
	return nil
}

func (s *slow) Delete(context.Context, Interface) error {
	s.calls["delete"]++
	return nil
}

// plugged has the interface be in that state at the instance.
func (s *slow) plugged(state nic.State) {
	s.used = 2
	s.iface.State, s.iface.Plug = state, &Plug{ID: string(theInstance), Instance: theInstance}
}

func (s *slow) unplugged() {
	s.used = 1
	s.iface.State, s.iface.Plug = nic.StateAvailable, nil
}

// again is the trait of it.
const again = 20 * time.Second

// created returns a provider with a NIC on a slow cloud.
func created(t *testing.T) (*Provider, *slow) {
	t.Helper()
	s := &slow{used: 1, calls: map[string]int{}}
	look := Look{Action: "Look", Most: 100}
	p, err := New(Options{
		Name: "cloud", Cluster: "cl-1", Cloud: s, Log: slog.New(slog.DiscardHandler),
		Pace: calls.NewPace("the cloud", func(string) provider.Rate { return provider.Rate{Burst: 100, PerSecond: 100} }, 1),
		Traits: Traits{
			Kind: "slow", API: "the cloud", WorstCall: 30 * time.Second, InstanceID: regexp.MustCompile("^i-"), Again: again,
			Interfaces: look, Instances: look, Types: look, Subnets: look,
		},
	})
	if err == nil {
		_, err = p.Create(t.Context(), nic.Spec{NIC: theNIC, Node: "n", Cloud: nic.CloudSpec{Subnet: theSubnet}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

func thePlace() nic.Place { return nic.Place{Node: "n", Instance: theInstance} }

func attach(t *testing.T, p *Provider) {
	t.Helper()
	if _, err := p.Attach(t.Context(), theNIC, thePlace()); err != nil {
		t.Fatal(err)
	}
}

// shows wants the NIC in that state; empty is that it is not there.
func shows(t *testing.T, p *Provider, want nic.State) {
	t.Helper()
	all, err := p.Get(t.Context(), theNIC)
	if err != nil || all[theNIC].State != want {
		t.Errorf("%s, %v; want %s", all[theNIC].State, err, want)
	}
}

// TestAttachFallsBack: a NIC that was let go of again is available once no look can be
// a stale one, and may be plugged in once more.
func TestAttachFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := created(t)
		attach(t, p)
		shows(t, p, nic.StateAttaching)
		s.plugged(nic.StateAttaching)
		shows(t, p, nic.StateAttaching)
		s.unplugged()
		time.Sleep(stale)
		shows(t, p, nic.StateAvailable)
		attach(t, p)
		s.plugged(nic.StateAttached)
		shows(t, p, nic.StateAttached)
		if s.calls["attach"] != 2 {
			t.Errorf("calls %v", s.calls)
		}
	})
}

// TestPluggedInTwice: an attachment of the same name as the last one is another.
func TestPluggedInTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := created(t)
		for range 2 {
			attach(t, p)
			s.plugged(nic.StateAttached)
			shows(t, p, nic.StateAttached)
			if err := p.Detach(t.Context(), theNIC, theInstance); err != nil {
				t.Fatal(err)
			}
			shows(t, p, nic.StateDetaching) // whatever the cloud shows still
			s.unplugged()
			shows(t, p, nic.StateAvailable)
			if l, err := p.Room(t.Context(), theInstance, 1); err != nil || l.Free != 1 {
				t.Errorf("%+v, %v; want the slot back", l, err)
			}
		}
	})
}

// TestPluggedInWithoutAWord: the same where the second attach takes place, and its answer
// is lost or tells of nothing but that.
func TestPluggedInWithoutAWord(t *testing.T) {
	for _, c := range []struct {
		says error
		want error // nil is that a look told
	}{
		{provider.NoAnswer(errors.New("connection reset")), provider.ErrUnknown},
		{&provider.Error{Kind: provider.ErrBusy, Scope: provider.ScopeNIC, Err: ErrPluggedIn}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, s := created(t)
			attach(t, p)
			s.plugged(nic.StateAttached)
			shows(t, p, nic.StateAttached)
			if err := p.Detach(t.Context(), theNIC, theInstance); err != nil {
				t.Fatal(err)
			}
			s.unplugged()
			shows(t, p, nic.StateAvailable)
			s.says = c.says
			if _, err := p.Attach(t.Context(), theNIC, thePlace()); !errors.Is(err, c.want) {
				t.Errorf("%v; want %v", err, c.want)
			}
			shows(t, p, nic.StateAttached)
			attach(t, p) // which it is
			if s.calls["attach"] != 2 {
				t.Errorf("calls %v", s.calls)
			}
		})
	}
}

// TestDetachAgain: what has not come about is asked for once more, and not before.
func TestDetachAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := created(t)
		attach(t, p)
		for _, stuck := range []nic.State{nic.StateAttached, nic.StateDetaching} { // it fell back, or hangs
			s.plugged(stuck)
			before := s.calls["detach"]
			for n := range 3 {
				if err := p.Detach(t.Context(), theNIC, theInstance); err != nil {
					t.Fatal(err)
				}
				if n < 2 {
					time.Sleep(again / 2)
				}
			}
			if n := s.calls["detach"] - before; n != 2 {
				t.Errorf("%s: asked for %d times; want 2", stuck, n)
			}
			time.Sleep(again)
		}
	})
}

// TestDeleteAgain: a NIC whose deletion has begun is gone when no look shows it.
func TestDeleteAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := created(t)
		for _, state := range []nic.State{nic.StateAvailable, nic.StateDeleting} {
			s.iface.State = state
			if err := p.Delete(t.Context(), theNIC); err != nil {
				t.Fatal(err)
			}
			shows(t, p, nic.StateDeleting)
			if _, err := p.Create(t.Context(), nic.Spec{NIC: theNIC, Cloud: nic.CloudSpec{Subnet: theSubnet}}); !errors.Is(err, provider.ErrBusy) {
				t.Errorf("shown as %s: %v; want busy", state, err)
			}
		}
		if s.calls["delete"] != 1 {
			t.Errorf("calls %v", s.calls)
		}
		time.Sleep(again)
		if err := p.Delete(t.Context(), theNIC); err != nil || s.calls["delete"] != 2 {
			t.Errorf("%v after %v; want it asked for again", err, s.calls)
		}
		s.iface = Interface{}
		if err := p.Delete(t.Context(), theNIC); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("%v; want not found", err)
		}
		shows(t, p, "")
	})
}

// TestSlotsWithoutNumbers: what a NIC held is free once it is unplugged, though nobody
// says where it was.
func TestSlotsWithoutNumbers(t *testing.T) {
	var x indexes
	listed := map[int]bool{0: true}
	for _, id := range []nic.ID{theNIC, "nic-0000000000000002"} {
		if _, ok, _ := x.hold(theInstance, id, listed, 2); !ok {
			t.Errorf("%s finds no slot", id)
		}
		x.free(theInstance, id, 0)
	}
}
