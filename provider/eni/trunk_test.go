package eni

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/calls"
)

// wired is a cloud with trunks, where all that is asked for is done by the next look.
type wired struct {
	Cloud // the verbs that nothing here asks for

	all    map[string]*Interface
	kind   Capacity
	calls  map[string]int
	tokens map[string]string // interfaces by token
	lose   bool              // the answer to the next Create
	hides  bool              // what was made is not shown
}

func (w *wired) list(want func(Interface) bool) (all []Interface) {
	for n := range len(w.all) + 1 {
		if f := w.all[fmt.Sprintf("eni-%d", n)]; f != nil && !w.hides && want(*f) {
			f.Members = nil
			for _, m := range w.all {
				if m != nil && m.Plug != nil && m.Plug.Trunk == f.ID {
					f.Members = append(f.Members, m.ID)
				}
			}
			all = append(all, *f)
		}
	}
	return all
}

func (w *wired) Interfaces(_ context.Context, nics []nic.ID) ([]Interface, error) {
	return w.list(func(f Interface) bool {
		if len(nics) == 0 {
			return f.Tags[TagCluster] == "cl-1"
		}
		for _, id := range nics {
			if f.Tags[TagNIC] == string(id) {
				return true
			}
		}
		return false
	}), nil
}

func (w *wired) Trunks(_ context.Context, instance nic.InstanceID) ([]Interface, error) {
	return w.list(func(f Interface) bool {
		return f.Trunk && (f.Plug != nil && f.Plug.Instance == instance || f.Tags[TagInstance] == string(instance))
	}), nil
}

func (w *wired) Instances(_ context.Context, ids []nic.InstanceID) (map[nic.InstanceID]Instance, error) {
	all := map[nic.InstanceID]Instance{}
	for _, id := range ids {
		used := map[int]bool{0: true}
		for _, f := range w.all {
			if f != nil && f.Plug != nil && f.Plug.Instance == id && f.Plug.Trunk == "" {
				used[len(used)] = true
			}
		}
		all[id] = Instance{Zone: "a", Kind: "small", Power: Running, Used: used}
	}
	return all, nil
}

func (w *wired) Types(context.Context, []string) (map[string]Capacity, error) {
	return map[string]Capacity{"small": w.kind}, nil
}

func (w *wired) Subnets(context.Context, []string) (map[string]Subnet, error) {
	return map[string]Subnet{theSubnet: {ID: theSubnet, Zone: "a", Free: 99}}, nil
}

func (w *wired) Create(_ context.Context, wanted Wanted) (Interface, error) {
	w.calls["create"]++
	id, again := w.tokens[string(wanted.Spec.NIC)]
	if !again {
		n := len(w.all) + 1
		id = fmt.Sprintf("eni-%d", n)
		w.tokens[string(wanted.Spec.NIC)] = id
		w.all[id] = &Interface{
			ID: id, Subnet: wanted.Spec.Cloud.Subnet, State: nic.StateAvailable, Tags: wanted.Tags, Tied: true, Trunk: wanted.Trunk,
			MAC: nic.MAC{2, 0, 0, 0, 0, byte(n)}, Groups: wanted.Spec.Cloud.Groups,
		}
	}
	if w.lose {
		w.lose = false
		return Interface{}, provider.NoAnswer(errors.New("connection reset"))
	}
	return *w.all[id], nil
}

func (w *wired) Attach(_ context.Context, f Interface, instance nic.InstanceID, _ int) (string, error) {
	w.calls["attach"]++
	w.all[f.ID].State, w.all[f.ID].Plug = nic.StateAttached, &Plug{ID: string(instance), Instance: instance}
	return string(instance), nil
}

func (w *wired) Join(_ context.Context, f, trunk Interface, instance nic.InstanceID) (string, error) {
	w.calls["join"]++
	if w.all[trunk.ID].Plug == nil {
		return "", provider.Errorf(provider.ErrBusy, "the trunk is available")
	}
	w.all[f.ID].State, w.all[f.ID].Plug = nic.StateAttached, &Plug{ID: string(instance), Instance: instance, Trunk: trunk.ID, Tag: 100 + w.calls["join"]}
	return string(instance), nil
}

func (w *wired) Detach(_ context.Context, f Interface) error {
	w.calls["detach"]++
	w.all[f.ID].State, w.all[f.ID].Plug = nic.StateAvailable, nil
	return nil
}

func (w *wired) Delete(_ context.Context, f Interface) error {
	w.calls["delete"]++
	w.all[f.ID] = nil
	return nil
}

func newWired(t *testing.T, kind Capacity) (*Provider, *wired) {
	t.Helper()
	w := &wired{all: map[string]*Interface{}, kind: kind, calls: map[string]int{}, tokens: map[string]string{}}
	return restarted(t, w), w
}

// restarted is a provider that remembers nothing.
func restarted(t *testing.T, w *wired) *Provider {
	t.Helper()
	look := Look{Action: "Look", Most: 100}
	p, err := New(Options{
		Name: "cloud", Cluster: "cl-1", Cloud: w, Log: slog.New(slog.DiscardHandler),
		Pace: calls.NewPace("the cloud", func(string) provider.Rate { return provider.Rate{Burst: 1000, PerSecond: 1000} }, 1),
		Traits: Traits{
			Kind: "wired", API: "the cloud", WorstCall: 30 * time.Second, InstanceID: regexp.MustCompile("^i-"), Again: again,
			MTU: 1500, Slots: "interfaces", Start: func(nic.CloudSpec) []string { return nil }, Interfaces: look, Instances: look, Types: look, Subnets: look,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func numbered(n int) nic.ID { return nic.ID(fmt.Sprintf("nic-%016x", n)) }

// creates makes a member.
func creates(t *testing.T, p *Provider, id nic.ID) {
	t.Helper()
	spec := nic.Spec{NIC: id, Node: "n", Cloud: nic.CloudSpec{Subnet: theSubnet, Groups: []string{"sg-1"}, Trunk: true}}
	if _, err := p.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// joins plugs a member in, as often as it takes.
func joins(t *testing.T, p *Provider, id nic.ID) nic.Seen {
	t.Helper()
	for range 20 {
		_, err := p.Attach(t.Context(), id, thePlace())
		var e *provider.Error
		if err != nil && (!errors.As(err, &e) || e.Kind != provider.ErrBusy && e.Kind != provider.ErrUnknown) {
			t.Fatal(err)
		}
		time.Sleep(trunkSoon)
		all, err := p.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if all[id].State == nic.StateAttached {
			return all[id]
		}
	}
	t.Fatalf("%s is never plugged in", id)
	return nic.Seen{}
}

// TestMembers: an instance with room for one card has several NICs, each with a number on
// a trunk that is made for the first one and goes after the last.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := newWired(t, Capacity{NICs: 2, Addrs: 4, Members: 3})
		for n := range 3 {
			creates(t, p, numbered(n))
			if l, err := p.Members(t.Context(), theInstance); err != nil || l.NICs != 3 || l.Free != 3-n {
				t.Errorf("before member %d: %+v, %v", n, l, err)
			}
			seen := joins(t, p, numbered(n))
			trunk := w.all["eni-2"]
			if !trunk.Trunk || len(trunk.Groups) != 1 || trunk.Subnet != theSubnet || trunk.Tags[TagNIC] != "" {
				t.Fatalf("the trunk is %+v", trunk)
			}
			want := nic.Device{Kind: nic.VLAN, MAC: seen.MAC, MTU: 1500, Trunk: trunk.MAC, Tag: 101 + n}
			if fmt.Sprint(seen.Device) != fmt.Sprint(want) || seen.Place.Instance != theInstance {
				t.Errorf("%+v\nwant the recipe %+v", seen, want)
			}
		}
		if l, err := p.Limits(t.Context(), theInstance); err != nil || l.Free != 0 || l.NICs != 2 {
			t.Errorf("cards: %+v, %v", l, err)
		}
		if list, err := p.List(t.Context()); err != nil || len(list) != 3 {
			t.Errorf("listed %+v, %v; want the members alone", list, err)
		}
		if w.calls["attach"] != 1 || w.calls["create"] != 4 {
			t.Errorf("calls %v", w.calls)
		}
		again := restarted(t, w)
		if all, err := again.Get(t.Context(), numbered(0)); err != nil || all[numbered(0)].Device.Trunk != w.all["eni-2"].MAC {
			t.Errorf("after a restart: %+v, %v", all, err)
		}
		for n := range 3 {
			if err := again.Detach(t.Context(), numbered(n), theInstance); err != nil {
				t.Fatal(err)
			}
			if err := again.Delete(t.Context(), numbered(n)); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 { // the trunk is idle, then unplugged, then deleted
			if _, err := again.List(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(trunkKept)
		}
		if w.all["eni-2"] != nil {
			t.Errorf("left: %+v", w.all["eni-2"])
		}
	})
}

// TestF03_ATrunkWhoseAnswerIsLost: it is made once, whoever asks again and however late the
// cloud shows it; and one that was left over by a crash is used.
func TestF03_ATrunkWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := newWired(t, Capacity{NICs: 2, Addrs: 4, Members: 3})
		creates(t, p, numbered(1))
		creates(t, p, numbered(2))
		w.lose, w.hides = true, true
		if _, err := p.Attach(t.Context(), numbered(1), thePlace()); !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("%v; want unknown", err)
		}
		if _, err := p.Attach(t.Context(), numbered(2), thePlace()); !errors.Is(err, provider.ErrBusy) {
			t.Errorf("%v; want busy, with the trunk being attached", err)
		}
		w.hides = false
		joins(t, p, numbered(1))
		joins(t, p, numbered(2))
		if len(w.all) != 3 || w.calls["attach"] != 1 {
			t.Errorf("%d interfaces after %v; want two members and a trunk", len(w.all), w.calls)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p, w := newWired(t, Capacity{NICs: 2, Addrs: 4, Members: 3})
		creates(t, p, numbered(1))
		w.lose = true
		if _, err := p.Attach(t.Context(), numbered(1), thePlace()); !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("%v; want unknown", err)
		}
		joins(t, restarted(t, w), numbered(1))
		if len(w.all) != 2 {
			t.Errorf("%d interfaces; want a member and its trunk", len(w.all))
		}
	})
}

// TestATrunkOfAnothers: one that an operator has plugged in is used, and left.
func TestATrunkOfAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := newWired(t, Capacity{NICs: 2, Addrs: 4, Members: 3})
		w.all["eni-1"] = &Interface{ID: "eni-1", State: nic.StateAttached, Trunk: true, MAC: nic.MAC{2, 9}, Plug: &Plug{ID: "x", Instance: theInstance}}
		creates(t, p, theNIC)
		if seen := joins(t, p, theNIC); seen.Device.Trunk != (nic.MAC{2, 9}) {
			t.Errorf("%+v", seen)
		}
		if err := p.Detach(t.Context(), theNIC, theInstance); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if _, err := p.List(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(trunkKept)
		}
		if w.all["eni-1"].Plug == nil || w.calls["attach"] != 0 {
			t.Errorf("it is %+v after %v", w.all["eni-1"], w.calls)
		}
	})
}

// TestNoTrunk: what cannot have members says so, and nothing is made.
func TestNoTrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, w := newWired(t, Capacity{NICs: 1, Addrs: 4, Members: 3})
		creates(t, full, theNIC)
		_, err := full.Attach(t.Context(), theNIC, thePlace())
		if !errors.Is(err, provider.ErrExhausted) || !strings.Contains(err.Error(), "no trunk yet") || w.calls["create"] != 1 {
			t.Errorf("%v after %v; want no slot for a trunk", err, w.calls)
		}
		if l, err := full.Members(t.Context(), theInstance); err != nil || l.Free != 0 || l.NICs != 3 {
			t.Errorf("%+v, %v", l, err)
		}
		if plan, err := full.Plan(t.Context(), nic.Spec{Cloud: nic.CloudSpec{Trunk: true}}, "small"); err != nil || plan.Fresh.Free != 0 {
			t.Errorf("%+v, %v", plan, err)
		}
		plain, _ := created(t)
		_, err = plain.Create(t.Context(), nic.Spec{NIC: "nic-0000000000000009", Cloud: nic.CloudSpec{Subnet: theSubnet, Trunk: true}})
		if !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("a cloud without trunks: %v", err)
		}
		if l, err := plain.Members(t.Context(), theInstance); err != nil || l.NICs != 0 || l.Free != 0 {
			t.Errorf("there: %+v, %v", l, err)
		}
	})
}
