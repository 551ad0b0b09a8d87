package aws

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
)

// TestF05_StaleReadDestroysNothing: a read that is an hour old says that the NIC is
// free, and it is not.
func TestF05_StaleReadDestroysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.created(id(1))
		time.Sleep(time.Hour)
		_, err := w.Attach(t.Context(), id(1), w.place(0))
		w.must(err)
		w.until(id(1), nic.StateAttached)
		w.inject(cloudsim.Fault{Verb: cloudsim.StaleDescribe, API: apiDescribeInterfaces, Count: -1, Delay: nic.Duration(30 * time.Minute)})
		w.Provider = w.another()
		if err := w.Delete(t.Context(), id(1)); !errors.Is(err, provider.ErrBusy) {
			t.Errorf("Delete: %v; want busy", err)
		}
		if _, err := w.Attach(t.Context(), id(1), w.place(1)); !errors.Is(err, provider.ErrBusy) {
			t.Errorf("Attach elsewhere: %v; want busy", err)
		}
		w.cloud.Clear()
		if seen := w.until(id(1), nic.StateAttached); seen.Place.Instance != w.instances[0] {
			t.Errorf("%+v", seen)
		}
		if n := w.cloud.Counts()[apiDeleteInterface].Effects; n != 0 {
			t.Errorf("%d deletes took effect", n)
		}
	})
}

// TestF06_ForeignInterfaces: what has our name and not our tag, or another
// cluster's, is not ours.
func TestF06_ForeignInterfaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		own := w.created(id(1))
		w.inject(cloudsim.Fault{Verb: cloudsim.ForeignObjects, Foreign: []cloudsim.Foreign{
			{Subnet: w.subnets[0], Description: "nicferry " + string(id(2)), Tags: cloudsim.Tags{tagName: "nicferry vpc"}},
			{Subnet: w.subnets[0], Tags: cloudsim.Tags{eni.TagNIC: string(id(1)), eni.TagCluster: "cl-2"}},
			{Subnet: w.subnets[0], Tags: cloudsim.Tags{eni.TagNIC: string(id(3))}},
			{Subnet: w.subnets[0], Instance: string(w.instances[0])},
		}})
		all, err := w.List(t.Context())
		if err != nil || len(all) != 1 || all[0].ProviderID != own.ProviderID {
			t.Errorf("%+v, %v; want ours alone", all, err)
		}
		for _, n := range []nic.ID{id(2), id(3)} {
			if err := w.Delete(t.Context(), n); !errors.Is(err, provider.ErrNotFound) {
				t.Errorf("%s: %v; want not found", n, err)
			}
		}
		limits, err := w.Limits(t.Context(), w.instances[0])
		if err != nil || limits.Free != 1 || limits.NICs != 3 || limits.AddrsPerNIC != 10 {
			t.Errorf("%+v, %v; want the foreign one counted", limits, err)
		}
		before := len(w.cloud.Interfaces())
		w.gone(id(1))
		if n := len(w.cloud.Interfaces()); n != before-1 {
			t.Errorf("%d interfaces are left of %d; want ours gone", n, before)
		}
	})
}

// TestF07_IndexConflict: one NIC, and the fourth index.
func TestF07_IndexConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{CardBug: true})
		big := w.instance("m5.4xlarge")
		w.created(id(1))
		w.inject(cloudsim.Fault{Verb: cloudsim.IndexConflict, API: apiAttachInterface, Count: 3})
		at := nic.Place{Node: "big", Instance: big}
		for range 3 {
			_, err := w.Attach(t.Context(), id(1), at)
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrBusy || e.RetryAfter == 0 {
				t.Fatalf("%v; want busy, and when to come back", err)
			}
		}
		_, err := w.Attach(t.Context(), id(1), at)
		w.must(err)
		w.until(id(1), nic.StateAttached)
		var tried []int
		for _, e := range w.cloud.Log(0) {
			if e.API == apiAttachInterface {
				tried = append(tried, e.Device)
			}
		}
		if fmt.Sprint(tried) != "[1 2 3 4]" {
			t.Errorf("tried %v", tried)
		}
		for _, i := range w.ours() {
			if a := i.Attachment; a == nil || a.Card != 0 || a.Device != 4 {
				t.Errorf("%+v", a)
			}
		}
	})
}

// instance makes one more, in the first subnet.
func (w *world) instance(kind string) nic.InstanceID {
	w.Helper()
	made, err := w.cloud.AddInstances(cloudsim.RunInstances{Type: kind, Subnet: w.subnets[0]})
	w.must(err)
	return nic.InstanceID(made[0].ID)
}

// TestF08_Storm: 200 NICs on 20 instances at once, under EC2's buckets.
func TestF08_Storm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Buckets: cloudsim.KnownBuckets(), Latency: cloudsim.ObservedLatency()})
		const nodes, nics = 20, 200
		var places []nic.Place
		for n := range nodes {
			places = append(places, nic.Place{Node: fmt.Sprintf("n%d", n), Instance: w.instance("m5.16xlarge")})
		}
		begin := time.Now()
		var wg sync.WaitGroup
		for n := range nics {
			wg.Go(func() {
				at := places[n%nodes]
				spec := w.spec(id(n))
				spec.Node = at.Node
				w.insist(func() error { _, err := w.Create(t.Context(), spec); return err })
				w.until(id(n), nic.StateAvailable)
				w.insist(func() error { _, err := w.Attach(t.Context(), id(n), at); return err })
				w.until(id(n), nic.StateAttached)
			})
		}
		wg.Wait()
		took := time.Since(begin)
		calls, throttled, mutating := 0, 0, 0
		for api, n := range w.cloud.Counts() {
			calls, throttled = calls+n.Calls, throttled+n.Throttled
			if !reads(api) {
				mutating += n.Effects
			}
		}
		t.Logf("%d NICs in %s: %d calls, %d of them mutating, %d throttled", nics, took, calls, mutating, throttled)
		if throttled*100 > calls || mutating > 3*nics {
			t.Errorf("%d of %d calls throttled, %d mutating calls for %d NICs", throttled, calls, mutating, nics)
		}
		for _, i := range w.ours() {
			if i.Attachment == nil || !i.Attachment.DeleteOnTermination {
				t.Errorf("%s: %+v", i.ID, i.Attachment)
			}
		}
	})
}

// TestF08_AccountThrottled: ten minutes of nothing but throttling are few calls, and
// it goes on after them.
func TestF08_AccountThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.attached(id(1), w.place(0))
		w.inject(cloudsim.Fault{Verb: cloudsim.Throttle, Count: -1, For: nic.Duration(10 * time.Minute)})
		before := w.cloud.Counts()[apiDescribeInterfaces].Calls
		for begin := time.Now(); time.Since(begin) < 10*time.Minute-2*calls.Patience; time.Sleep(time.Second) {
			got, err := w.Get(t.Context(), id(1))
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrThrottled || e.RetryAfter == 0 || got != nil {
				t.Fatalf("%v, %v; want throttled", got, err)
			}
		}
		if n := w.cloud.Counts()[apiDescribeInterfaces].Calls - before; n > 60 {
			t.Errorf("%d calls in ten minutes of throttling", n)
		}
		time.Sleep(calls.MaxRest)
		w.gone2(id(1))
		w.clean(1)
	})
}

// gone2 is gone for a NIC that is plugged in at the first instance.
func (w *world) gone2(nid nic.ID) {
	w.Helper()
	w.insist(func() error { return w.Detach(w.Context(), nid, w.instances[0]) })
	w.until(nid, nic.StateAvailable)
	w.gone(nid)
}

// TestF10_StuckDetaching: it is said to be detaching as long as it is, and nobody
// else gets it; nothing is forced.
func TestF10_StuckDetaching(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.attached(id(1), w.place(0))
		w.inject(cloudsim.Fault{Verb: cloudsim.Stuck, API: apiDetachInterface, State: "detaching", Count: -1})
		w.must(w.Detach(t.Context(), id(1), w.instances[0]))
		for range 10 {
			time.Sleep(time.Minute)
			all, err := w.Get(t.Context(), id(1))
			w.must(err)
			if seen := all[id(1)]; seen.State != nic.StateDetaching || seen.Place.Instance != w.instances[0] || seen.Device.MAC != seen.MAC {
				t.Fatalf("%+v; want detaching, with place and recipe", seen)
			}
			w.must(w.Detach(t.Context(), id(1), w.instances[0]))
			if err := w.Delete(t.Context(), id(1)); !errors.Is(err, provider.ErrBusy) {
				t.Errorf("Delete: %v", err)
			}
			if _, err := w.Attach(t.Context(), id(1), w.place(1)); !errors.Is(err, provider.ErrElsewhere) {
				t.Errorf("Attach elsewhere: %v", err)
			}
			if _, err := w.Attach(t.Context(), id(1), w.place(0)); !errors.Is(err, provider.ErrBusy) {
				t.Errorf("Attach there: %v", err)
			}
		}
		if n := w.cloud.Counts()[apiDetachInterface].Calls; n != 1 {
			t.Errorf("%d detaches", n)
		}
		w.cloud.Clear()
		w.until(id(1), nic.StateAvailable)
		w.gone(id(1))
	})
}

// TestF11_TerminatedWhileDetaching: that ends in success, and so does a detach of
// what has gone with its instance.
func TestF11_TerminatedWhileDetaching(t *testing.T) {
	t.Parallel()
	for name, detached := range map[string]bool{"while detaching": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{Latency: cloudsim.ObservedLatency()})
				w.attached(id(1), w.place(0))
				if detached {
					w.must(w.Detach(t.Context(), id(1), w.instances[0]))
				}
				_, err := w.cloud.TerminateInstances(t.Context(), cloudsim.Call{Caller: "test"}, string(w.instances[0]))
				w.must(err)
				for range 120 {
					err := w.Detach(t.Context(), id(1), w.instances[0])
					if err != nil && !errors.Is(err, provider.ErrNotFound) && !errors.Is(err, provider.ErrBusy) {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				w.gone(id(1))
				w.clean(1)
				if off, err := w.Off(t.Context(), w.instances[0]); err != nil || !off {
					t.Errorf("off: %t, %v", off, err)
				}
				if _, err := w.Limits(t.Context(), w.instances[0]); !errors.Is(err, provider.ErrNotFound) {
					t.Errorf("Limits: %v; want not found", err)
				}
				w.created(id(2))
				if _, err := w.Attach(t.Context(), id(2), w.place(0)); !errors.Is(err, provider.ErrInvalid) {
					t.Errorf("Attach: %v; want invalid", err)
				}
			})
		})
	}
}

// TestAttachFallsBack: attaching that ends in available, without a word, is seen
// within seconds.
func TestAttachFallsBack(t *testing.T) {
	t.Parallel()
	for _, verb := range []cloudsim.Verb{cloudsim.BackToAvailable, cloudsim.AttachThenVanish} {
		t.Run(string(verb), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{})
				w.created(id(1))
				f := cloudsim.Fault{Verb: verb, API: apiAttachInterface}
				if verb == cloudsim.AttachThenVanish {
					f.Delay = nic.Duration(3 * time.Second)
				}
				w.inject(f)
				_, err := w.Attach(t.Context(), id(1), w.place(0))
				w.must(err)
				begin := time.Now()
				w.until(id(1), nic.StateAvailable)
				if took := time.Since(begin); took > 2*staleFor {
					t.Errorf("it took %s", took)
				}
				_, err = w.Attach(t.Context(), id(1), w.place(1))
				w.must(err)
				w.until(id(1), nic.StateAttached)
			})
		})
	}
}

// TestF18_DeleteOnTermination: a NIC goes with its instance from the attach on, and
// never after the detach.
func TestF18_DeleteOnTermination(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []cloudsim.Fault
		look   bool // somebody looks, after the one who attached has died
	}{
		"at once":          {},
		"by the next look": {[]cloudsim.Fault{{Verb: cloudsim.ServerError, API: apiModifyInterface, Count: attempts}}, true},
		"denied at first":  {[]cloudsim.Fault{{Verb: cloudsim.Fail, API: apiModifyInterface, Code: "UnauthorizedOperation", Message: "no", Status: 403}}, true},
		"throttled":        {[]cloudsim.Fault{{Verb: cloudsim.Throttle, API: apiModifyInterface}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{Latency: cloudsim.ObservedLatency()})
				w.created(id(1))
				w.created(id(2))
				w.inject(c.faults...)
				_, err := w.Attach(t.Context(), id(1), w.place(0))
				w.must(err)
				_, err = w.Attach(t.Context(), id(2), w.place(0))
				w.must(err)
				if c.look {
					w.Provider = w.another()
					_, err := w.List(t.Context())
					w.must(err)
				}
				w.until(id(2), nic.StateAttached)
				// The second moves away: it survives its former instance.
				w.must(w.Detach(t.Context(), id(2), w.instances[0]))
				w.until(id(2), nic.StateAvailable)
				_, err = w.cloud.TerminateInstances(t.Context(), cloudsim.Call{Caller: "test"}, string(w.instances[0]))
				w.must(err)
				time.Sleep(5 * time.Minute)
				left := w.ours()
				if len(left) != 1 || left[0].Tags[eni.TagNIC] != string(id(2)) {
					t.Errorf("left are %+v; want the one that had moved away", left)
				}
				_, err = w.Attach(t.Context(), id(2), w.place(1))
				w.must(err)
				if seen := w.until(id(2), nic.StateAttached); seen.Place != w.place(1) {
					t.Errorf("%+v", seen)
				}
			})
		})
	}
}

// TestF19_Strict: EC2 takes no more what it took, and nothing here minds.
func TestF19_Strict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Lenient: true, EmptyPages: true})
		w.inject(cloudsim.Fault{Verb: cloudsim.StrictValidation})
		w.live(id(1), func() {})
		if _, err := w.List(t.Context()); err != nil {
			t.Error(err)
		}
		w.clean(1)
	})
}
