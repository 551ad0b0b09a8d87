package aliyun

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
	"github.com/nicferry/nicferry/provider/providertest"
)

// members are NICs of a trunk, whose limits are what the suite takes for an instance's.
type members struct{ *eni.Provider }

func (m members) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	return m.Members(ctx, instance)
}

// ofTrunks has all NICs of the suite be members of trunks that are there: that an instance
// has none yet is a wait which the suite does not expect everywhere.
func ofTrunks(w *enitest.World) *providertest.Rig {
	call := cloudsim.Call{Caller: "test"}
	for _, at := range []nic.Place{w.At(0), w.At(1)} {
		f, err := w.Cloud.CreateInterface(w.Context(), call, cloudsim.CreateInterface{Subnet: w.Nets[0], Groups: []string{w.Group}, Kind: "trunk"})
		w.Must(err)
		time.Sleep(10 * time.Second) // until it shows
		_, err = w.Cloud.AttachInterface(w.Context(), call, cloudsim.AttachInterface{Interface: f.ID, Instance: string(at.Instance), Device: cloudsim.AnyDevice})
		w.Must(err)
	}
	time.Sleep(30 * time.Second)
	rig := w.Rig()
	spec, restart := rig.Spec, rig.Restart
	rig.Provider = members{w.Provider}
	rig.Spec = func(id nic.ID) nic.Spec {
		s := spec(id)
		s.Cloud.Trunk = true
		return s
	}
	rig.Restart = func(t *testing.T) provider.Provider {
		restart(t)
		return members{w.Provider}
	}
	return rig
}

// TestConformanceOfMembers: a member of a trunk is a NIC as any other.
func TestConformanceOfMembers(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]cloudsim.Options{
		"at once":              {},
		"with latency and lag": {Latency: ecs.ObservedLatency(), EmptyPages: true, Lag: cloudsim.Lag{Describe: cloudsim.Range{Max: 2 * time.Second}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providertest.RunBubble(t, func(t *testing.T) *providertest.Rig { return ofTrunks(open(t, o)) })
		})
	}
}

// plugs has a NIC be plugged in at the first instance.
func plugs(w *enitest.World, spec nic.Spec) nic.Seen {
	w.Helper()
	_, err := w.Provider.Create(w.Context(), spec)
	w.Must(err)
	for range 100 {
		_, err := w.Provider.Attach(w.Context(), spec.NIC, w.At(0))
		if kind := enitest.KindOf(err); err != nil && !errors.Is(kind, provider.ErrBusy) {
			w.Fatal(err)
		}
		time.Sleep(time.Second)
		all, err := w.Get(w.Context(), spec.NIC)
		w.Must(err)
		if all[spec.NIC].State == nic.StateAttached {
			return all[spec.NIC]
		}
	}
	w.Fatalf("%s is never plugged in", spec.NIC)
	return nic.Seen{}
}

// TestTheTrunkOfAnInstance: it is made with the first member, takes one of the instance's
// interfaces and carries all that the type allows; and nothing of it is left.
func TestTheTrunkOfAnInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Latency: ecs.ObservedLatency()})
		tags := map[int]bool{}
		for n := range 7 { // ecs.g7.large: 10 in all, of which 3 have a card
			s := w.Spec(enitest.ID(n))
			s.Cloud.Trunk = true
			seen := plugs(w, s)
			d := seen.Device
			if d.Kind != nic.VLAN || d.MAC != seen.MAC || d.Trunk.IsZero() || d.Trunk == d.MAC || d.MTU != mtu || tags[d.Tag] {
				t.Errorf("member %d has the recipe %+v", n, d)
			}
			tags[d.Tag] = true
		}
		if l, err := w.Members(t.Context(), w.VMs[0]); err != nil || l.NICs != 7 || l.Free != 0 {
			t.Errorf("members: %+v, %v", l, err)
		}
		if l, err := w.Limits(t.Context(), w.VMs[0]); err != nil || l.NICs != 3 || l.Free != 1 {
			t.Errorf("cards: %+v, %v; want one besides the instance's own and the trunk", l, err)
		}
		plugs(w, w.Spec(enitest.ID(7)))
		more := w.Spec(enitest.ID(8))
		more.Cloud.Trunk = true
		_, err := w.Provider.Create(t.Context(), more)
		w.Must(err)
		if _, err := w.Provider.Attach(t.Context(), more.NIC, w.At(0)); !errors.Is(enitest.KindOf(err), provider.ErrExhausted) {
			t.Errorf("one more: %v", err)
		}
		if list, err := w.List(t.Context()); err != nil || len(list) != 9 {
			t.Errorf("listed %d, %v; want the NICs, and not the trunk", len(list), err)
		}
		for n := range 9 {
			id := enitest.ID(n)
			for err := error(nil); !errors.Is(enitest.KindOf(err), provider.ErrNotFound); time.Sleep(time.Second) {
				_ = w.Provider.Detach(t.Context(), id, w.VMs[0]) // it may be on its way
				err = w.Provider.Delete(t.Context(), id)
			}
		}
		for range 6 { // sweeps
			_, err := w.List(t.Context())
			w.Must(err)
			time.Sleep(3 * time.Minute)
		}
		w.Clean(10)
	})
}

// TestF50_TheTrunkOfAControllerThatDies: whoever comes after each call finds how far it was,
// and one trunk is made, whichever answers are lost.
func TestF50_TheTrunkOfAControllerThatDies(t *testing.T) {
	t.Parallel()
	for _, api := range []string{apiCreateInterface, apiAttachInterface, apiDescribeInterfaces} {
		for nth := range 3 {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{Latency: ecs.ObservedLatency()})
				s := w.Spec(enitest.ID(1))
				s.Cloud.Trunk = true
				_, err := w.Provider.Create(t.Context(), s)
				w.Must(err)
				w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: api, Nth: nth + 1, Count: attempts})
				for n := 0; ; n++ {
					w.Provider = w.Another()
					_, err := w.Provider.Attach(t.Context(), s.NIC, w.At(0))
					if err == nil {
						break
					}
					if kind := enitest.KindOf(err); n == 60 || !errors.Is(kind, provider.ErrBusy) && !errors.Is(kind, provider.ErrUnknown) {
						t.Fatalf("%s, answer %d lost: %v", api, nth, err)
					}
					time.Sleep(time.Second)
				}
				trunks := 0
				for _, f := range w.Ours() {
					if f.Kind == "trunk" {
						trunks++
					}
				}
				if trunks != 1 {
					t.Errorf("%s, answer %d lost: %d trunks", api, nth, trunks)
				}
			})
		}
	}
}

// TestF15_ManyMembersAtOnce: of an instance that has no trunk yet; one is made.
func TestF15_ManyMembersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Latency: ecs.ObservedLatency()})
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() {
				s := w.Spec(enitest.ID(n))
				s.Cloud.Trunk = true
				if _, err := w.Provider.Create(t.Context(), s); err != nil {
					t.Error(err)
				}
				for range 60 {
					_, err := w.Provider.Attach(t.Context(), s.NIC, w.At(0))
					if err == nil {
						return
					}
					if !errors.Is(enitest.KindOf(err), provider.ErrBusy) {
						t.Error(err)
					}
					time.Sleep(time.Second)
				}
				t.Errorf("member %d is never attached", n)
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		if made := w.Cloud.Counts()[apiCreateInterface].Effects; made != 7 {
			t.Errorf("%d interfaces were made; want 6 members and a trunk", made)
		}
		got, err := w.Get(t.Context(), enitest.ID(0), enitest.ID(1), enitest.ID(2), enitest.ID(3), enitest.ID(4), enitest.ID(5))
		w.Must(err)
		tags := map[int]bool{}
		for _, s := range got {
			tags[s.Device.Tag] = true
		}
		if len(got) != 6 || len(tags) != 6 || tags[0] {
			t.Errorf("they are %+v", got)
		}
	})
}
