package enitest

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

// StaleReadDestroysNothing: a read that is an hour old says that the NIC is
// free, and it is not.
func StaleReadDestroysNothing(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Created(ID(1))
		time.Sleep(time.Hour)
		_, err := w.Provider.Attach(t.Context(), ID(1), w.At(0))
		w.Must(err)
		w.Until(ID(1), nic.StateAttached)
		w.Inject(cloudsim.Fault{Verb: cloudsim.StaleDescribe, API: w.Act.Interfaces, Count: -1, Delay: nic.Duration(30 * time.Minute)})
		w.Provider = w.Another()
		if err := w.Provider.Delete(t.Context(), ID(1)); !errors.Is(err, provider.ErrBusy) {
			t.Errorf("Delete: %v; want busy", err)
		}
		if _, err := w.Provider.Attach(t.Context(), ID(1), w.At(1)); !errors.Is(err, provider.ErrBusy) {
			t.Errorf("Attach elsewhere: %v; want busy", err)
		}
		w.Cloud.Clear()
		if seen := w.Until(ID(1), nic.StateAttached); seen.Place.Instance != w.VMs[0] {
			t.Errorf("%+v", seen)
		}
		if n := w.Cloud.Counts()[w.Act.Delete].Effects; n != 0 {
			t.Errorf("%d deletes took effect", n)
		}
	})
}

// Storm: 200 NICs on 20 instances at once, under the cloud's buckets.
func Storm(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{Buckets: v.Buckets, Latency: v.Latency})
		const nodes, nics = 20, 200
		var places []nic.Place
		for n := range nodes {
			places = append(places, nic.Place{Node: fmt.Sprintf("n%d", n), Instance: w.Instance(w.Big)})
		}
		begin := time.Now()
		var wg sync.WaitGroup
		for n := range nics {
			wg.Go(func() {
				at := places[n%nodes]
				spec := w.Spec(ID(n))
				spec.Node = at.Node
				w.Insist(func() error { _, err := w.Provider.Create(t.Context(), spec); return err })
				w.Until(ID(n), nic.StateAvailable)
				w.Insist(func() error { _, err := w.Provider.Attach(t.Context(), ID(n), at); return err })
				w.Until(ID(n), nic.StateAttached)
			})
		}
		wg.Wait()
		took := time.Since(begin)
		calls, throttled, mutating := 0, 0, 0
		for api, n := range w.Cloud.Counts() {
			calls, throttled = calls+n.Calls, throttled+n.Throttled
			if !w.Reads(api) {
				mutating += n.Effects
			}
		}
		t.Logf("%d NICs in %s: %d calls, %d of them mutating, %d throttled", nics, took, calls, mutating, throttled)
		if throttled*100 > calls || mutating > w.Mutating*nics {
			t.Errorf("%d of %d calls throttled, %d mutating calls for %d NICs", throttled, calls, mutating, nics)
		}
		for _, i := range w.Ours() {
			if i.Attachment == nil || !i.Attachment.DeleteOnTermination {
				t.Errorf("%s: %+v", i.ID, i.Attachment)
			}
		}
	})
}

// AccountThrottled: ten minutes of nothing but throttling are few calls, and
// it goes on after them.
func AccountThrottled(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Attached(ID(1), w.At(0))
		w.Inject(cloudsim.Fault{Verb: cloudsim.Throttle, Count: -1, For: nic.Duration(10 * time.Minute)})
		before := w.Cloud.Counts()[w.Act.Interfaces].Calls
		for begin := time.Now(); time.Since(begin) < 10*time.Minute-2*calls.Patience; time.Sleep(time.Second) {
			got, err := w.Get(t.Context(), ID(1))
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrThrottled || e.RetryAfter == 0 || got != nil {
				t.Fatalf("%v, %v; want throttled", got, err)
			}
		}
		if n := w.Cloud.Counts()[w.Act.Interfaces].Calls - before; n > 60 {
			t.Errorf("%d calls in ten minutes of throttling", n)
		}
		time.Sleep(calls.MaxRest)
		w.GoneFrom(ID(1), w.VMs[0])
		w.Clean(1)
	})
}

// StuckDetaching: it is said to be detaching as long as it is, and nobody
// else gets it; nothing is forced.
func StuckDetaching(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Attached(ID(1), w.At(0))
		w.Inject(cloudsim.Fault{Verb: cloudsim.Stuck, API: w.Act.Detach, State: "detaching", Count: -1})
		w.Must(w.Provider.Detach(t.Context(), ID(1), w.VMs[0]))
		for range 10 {
			time.Sleep(time.Minute)
			all, err := w.Get(t.Context(), ID(1))
			w.Must(err)
			if seen := all[ID(1)]; seen.State != nic.StateDetaching || seen.Place.Instance != w.VMs[0] || seen.Device.MAC != seen.MAC {
				t.Fatalf("%+v; want detaching, with place and recipe", seen)
			}
			w.Must(w.Provider.Detach(t.Context(), ID(1), w.VMs[0]))
			if err := w.Provider.Delete(t.Context(), ID(1)); !errors.Is(err, provider.ErrBusy) {
				t.Errorf("Delete: %v", err)
			}
			if _, err := w.Provider.Attach(t.Context(), ID(1), w.At(1)); !errors.Is(err, provider.ErrElsewhere) {
				t.Errorf("Attach elsewhere: %v", err)
			}
			if _, err := w.Provider.Attach(t.Context(), ID(1), w.At(0)); !errors.Is(err, provider.ErrBusy) {
				t.Errorf("Attach there: %v", err)
			}
		}
		if n := w.Cloud.Counts()[w.Act.Detach].Calls; n != 1 && !w.Again || n < 2 && w.Again {
			t.Errorf("%d detaches", n)
		}
		w.Cloud.Clear()
		w.Until(ID(1), nic.StateAvailable)
		w.Gone(ID(1))
	})
}

// TerminatedWhileDetaching: that ends in success, and so does a detach of
// what has gone with its instance.
func TerminatedWhileDetaching(t *testing.T, v *Vendor) {
	t.Parallel()
	for name, detached := range map[string]bool{"while detaching": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := Open(t, v, cloudsim.Options{Latency: v.Latency})
				w.Attached(ID(1), w.At(0))
				if detached {
					w.Must(w.Provider.Detach(t.Context(), ID(1), w.VMs[0]))
				}
				_, err := w.Cloud.TerminateInstances(t.Context(), cloudsim.Call{Caller: "test"}, string(w.VMs[0]))
				w.Must(err)
				for range 120 {
					err := w.Provider.Detach(t.Context(), ID(1), w.VMs[0])
					if err != nil && !errors.Is(err, provider.ErrNotFound) && !errors.Is(err, provider.ErrBusy) {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				w.Gone(ID(1))
				w.Clean(1)
				if off, err := w.Off(t.Context(), w.VMs[0]); (err != nil || !off) && !(w.Forgets && errors.Is(err, provider.ErrNotFound)) {
					t.Errorf("off: %t, %v", off, err)
				}
				if _, err := w.Limits(t.Context(), w.VMs[0]); !errors.Is(err, provider.ErrNotFound) {
					t.Errorf("Limits: %v; want not found", err)
				}
				w.Created(ID(2))
				if _, err := w.Provider.Attach(t.Context(), ID(2), w.At(0)); !errors.Is(err, provider.ErrInvalid) {
					t.Errorf("Attach: %v; want invalid", err)
				}
			})
		})
	}
}

// AttachFallsBack: attaching that ends in available, without a word, is seen
// within seconds.
func AttachFallsBack(t *testing.T, v *Vendor) {
	t.Parallel()
	for _, verb := range []cloudsim.Verb{cloudsim.BackToAvailable, cloudsim.AttachThenVanish} {
		t.Run(string(verb), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := Open(t, v, cloudsim.Options{})
				w.Created(ID(1))
				f := cloudsim.Fault{Verb: verb, API: w.Act.Attach}
				if verb == cloudsim.AttachThenVanish {
					f.Delay = nic.Duration(3 * time.Second)
				}
				w.Inject(f)
				_, err := w.Provider.Attach(t.Context(), ID(1), w.At(0))
				w.Must(err)
				begin := time.Now()
				w.Until(ID(1), nic.StateAvailable)
				if took := time.Since(begin); took > 2*StaleFor {
					t.Errorf("it took %s", took)
				}
				_, err = w.Provider.Attach(t.Context(), ID(1), w.At(1))
				w.Must(err)
				w.Until(ID(1), nic.StateAttached)
			})
		})
	}
}

// DeleteOnTermination: a NIC goes with its instance from the attach on, and
// never after the detach.
func DeleteOnTermination(t *testing.T, v *Vendor) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []cloudsim.Fault
		look   bool // somebody looks, after the one who attached has died
	}{
		"at once":          {},
		"by the next look": {[]cloudsim.Fault{{Verb: cloudsim.ServerError, API: v.Act.Modify, Count: v.Attempts}}, true},
		"denied at first":  {[]cloudsim.Fault{{Verb: cloudsim.Fail, API: v.Act.Modify, Code: v.Denied, Message: "no", Status: 403}}, true},
		"throttled":        {[]cloudsim.Fault{{Verb: cloudsim.Throttle, API: v.Act.Modify}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := Open(t, v, cloudsim.Options{Latency: v.Latency})
				w.Created(ID(1))
				w.Created(ID(2))
				if c.look && w.Mutating == 2 { // it is made so, and a person has it otherwise
					w.untie()
					w.Provider = w.Another()
				}
				w.Inject(c.faults...)
				_, err := w.Provider.Attach(t.Context(), ID(1), w.At(0))
				w.Must(err)
				_, err = w.Provider.Attach(t.Context(), ID(2), w.At(0))
				w.Must(err)
				if c.look {
					w.Provider = w.Another()
					_, err := w.List(t.Context())
					w.Must(err)
				}
				w.Until(ID(2), nic.StateAttached)
				// The second moves away: it survives its former instance.
				w.Must(w.Provider.Detach(t.Context(), ID(2), w.VMs[0]))
				w.Until(ID(2), nic.StateAvailable)
				_, err = w.Cloud.TerminateInstances(t.Context(), cloudsim.Call{Caller: "test"}, string(w.VMs[0]))
				w.Must(err)
				time.Sleep(5 * time.Minute)
				left := w.Ours()
				if len(left) != 1 || left[0].Tags[eni.TagNIC] != string(ID(2)) {
					t.Errorf("left are %+v; want the one that had moved away", left)
				}
				_, err = w.Provider.Attach(t.Context(), ID(2), w.At(1))
				w.Must(err)
				if seen := w.Until(ID(2), nic.StateAttached); seen.Place != w.At(1) {
					t.Errorf("%+v", seen)
				}
			})
		})
	}
}

// untie has all of ours stay behind their instances.
func (w *World) untie() {
	w.Helper()
	no := false
	for _, i := range w.Ours() {
		w.Must(w.Cloud.ModifyInterface(w.Context(), cloudsim.Call{Caller: "test"}, cloudsim.ModifyInterface{Interface: i.ID, Several: true, GoesWithInstance: &no}))
	}
}

// Strict: the cloud takes no more what it took, and nothing here minds.
func Strict(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{Lenient: true, EmptyPages: true})
		w.Inject(cloudsim.Fault{Verb: cloudsim.StrictValidation})
		w.Live(ID(1), func() {})
		if _, err := w.List(t.Context()); err != nil {
			t.Error(err)
		}
		w.Clean(1)
	})
}
