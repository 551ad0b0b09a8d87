package aws

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The mutating actions of one life of a NIC.
var lifeActions = []string{apiCreateInterface, apiAttachInterface, apiModifyInterface, apiDetachInterface, apiDeleteInterface}

// id is the n-th NIC of a test.
func id(n int) nic.ID { return nic.ID(fmt.Sprintf("nic-%016x", n)) }

// insist repeats a call while its error is one that a caller repeats it for.
func (w *world) insist(call func() error) {
	w.Helper()
	for range 100 {
		err := call()
		switch kindOf(err) {
		case provider.ErrUnknown, provider.ErrThrottled, provider.ErrBusy:
			e, _ := errors.AsType[*provider.Error](err)
			time.Sleep(max(e.RetryAfter, time.Second))
		case nil:
			w.must(err)
			return
		default:
			w.Fatal(err)
		}
	}
	w.Fatal("never done")
}

// live is a NIC's life at the first instance, as its caller drives it; between
// runs between any two steps.
func (w *world) live(nid nic.ID, between func()) {
	w.Helper()
	ctx, at := w.Context(), w.place(0)
	w.insist(func() error { _, err := w.Create(ctx, w.spec(nid)); return err })
	between()
	w.until(nid, nic.StateAvailable)
	between()
	w.insist(func() error { _, err := w.Attach(ctx, nid, at); return err })
	between()
	w.until(nid, nic.StateAttached)
	between()
	w.insist(func() error { return w.Detach(ctx, nid, at.Instance) })
	between()
	w.until(nid, nic.StateAvailable)
	between()
	w.insist(func() error {
		err := w.Delete(ctx, nid)
		if errors.Is(err, provider.ErrNotFound) {
			return nil
		}
		return err
	})
	between()
	w.gone(nid)
}

// clean demands that nothing of ours is left, and how many were ever made.
func (w *world) clean(made int) {
	w.Helper()
	if left := w.ours(); len(left) > 0 {
		w.Errorf("left behind: %+v", left)
	}
	if n := w.cloud.Counts()[apiCreateInterface].Effects; n != made {
		w.Errorf("%d interfaces were made; want %d", n, made)
	}
}

// TestF01_DiesBetweenTwoSteps: whoever comes next finds it all by its tags.
func TestF01_DiesBetweenTwoSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Latency: cloudsim.ObservedLatency()})
		w.live(id(1), func() { w.Provider = w.another() })
		w.clean(1)

		// And of one that is forgotten wherever it was, List tells.
		w.attached(id(2), w.place(0))
		w.created(id(3))
		w.must(w.Detach(t.Context(), id(2), w.instances[0]))
		w.Provider = w.another()
		left, err := w.List(t.Context())
		if err != nil || len(left) != 2 {
			t.Fatalf("%+v, %v; want both", left, err)
		}
		for _, n := range left {
			w.gone(n.NIC)
		}
		w.clean(3)
	})
}

// TestF02_EachCallFails: each action fails once in each way, and again on the way
// back.
func TestF02_EachCallFails(t *testing.T) {
	t.Parallel()
	for _, action := range append(lifeActions, apiDescribeInterfaces, apiDescribeInstances, apiDescribeSubnets, apiDescribeTypes) {
		for name, f := range map[string]cloudsim.Fault{
			"throttled": {Verb: cloudsim.Throttle, Count: 3},
			"failed":    {Verb: cloudsim.ServerError, Count: 2 * attempts},
			"once":      {Verb: cloudsim.ServerError},
			"503":       {Verb: cloudsim.ServerError, Code: "Unavailable", Status: http.StatusServiceUnavailable, Count: attempts},
			"reset":     {Verb: cloudsim.Reset, Count: attempts},
			"HTML":      {Verb: cloudsim.HTML, Count: attempts},
			"conflict":  {Verb: cloudsim.Conflict, Count: 2},
		} {
			if name == "conflict" && action != apiAttachInterface && action != apiDetachInterface && action != apiDeleteInterface {
				continue
			}
			t.Run(action+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := open(t, cloudsim.Options{})
					f := f
					f.API = action
					w.inject(f)
					w.live2(id(1))
					w.clean(1)
				})
			})
		}
	}
}

// live2 is live for a world whose reads fail too.
func (w *world) live2(nid nic.ID) {
	w.Helper()
	w.patient = true
	w.live(nid, func() {})
}

// TestF03_LostReplies: it took place and the answer is lost, in each of the ways
// that an answer is no answer, also across a restart.
func TestF03_LostReplies(t *testing.T) {
	t.Parallel()
	for _, verb := range []cloudsim.Verb{cloudsim.LoseReply, cloudsim.Empty, cloudsim.Half, cloudsim.HTML} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restart=%t", verb, restarted), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := open(t, cloudsim.Options{})
					w.patient = true
					page := 0
					if verb == cloudsim.HTML {
						page = http.StatusOK
					}
					for n := range 5 {
						for _, action := range lifeActions {
							w.inject(cloudsim.Fault{Verb: verb, API: action, Count: attempts, After: verb == cloudsim.HTML, Status: page})
						}
						w.live(id(n), func() {
							if restarted {
								w.Provider = w.another()
							}
						})
						w.cloud.Clear()
					}
					w.clean(5)
				})
			})
		}
	}
}

// TestF03_OtherParameters: the same id with other parameters is our own error, and
// no loop.
func TestF03_OtherParameters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Lag: cloudsim.Lag{Describe: cloudsim.Range{Min: 20 * time.Second, Max: 20 * time.Second}}})
		_, err := w.Create(t.Context(), w.spec(id(1)))
		w.must(err)
		other := w.spec(id(1))
		other.Cloud.Subnet = w.subnets[1]
		if _, err := w.another().Create(t.Context(), other); !errors.Is(err, provider.ErrBusy) {
			t.Errorf("%v; want busy while EC2 does not show the first", err)
		}
		time.Sleep(time.Minute)
		if _, err := w.another().Create(t.Context(), other); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
		w.gone(id(1))
		w.clean(1)
	})
}

// TestF03_ExplicitAddress: where EC2 looks at the address before it looks at the
// token, our own first attempt is in our way.
func TestF03_ExplicitAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{AddressFirst: true, Lag: cloudsim.Lag{Describe: cloudsim.Range{Min: 10 * time.Second, Max: 10 * time.Second}}})
		spec := w.spec(id(1))
		spec.Addrs = texted("10.80.0.77")
		w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: apiCreateInterface, Count: attempts})
		w.insist(func() error { _, err := w.Create(t.Context(), spec); return err })
		if seen := w.until(id(1), nic.StateAvailable); seen.Addrs[0] != addr("10.80.0.77") {
			t.Errorf("%+v", seen)
		}
		other := w.spec(id(2))
		other.Addrs = spec.Addrs
		_, err := w.Create(t.Context(), other)
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrInvalid || e.Scope != provider.ScopeAddress {
			t.Errorf("%v; want invalid: somebody else has the address", err)
		}
		w.gone(id(1))
		w.clean(1)
	})
}

// TestF04_HiddenAtFirst: what EC2 does not show yet is neither made twice, nor said
// to be gone.
func TestF04_HiddenAtFirst(t *testing.T) {
	t.Parallel()
	for _, lag := range []time.Duration{time.Second, 10 * time.Second, 30 * time.Second} {
		t.Run(lag.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{Lag: cloudsim.Lag{Describe: cloudsim.Range{Max: lag}}, Latency: cloudsim.ObservedLatency(), Seed: 7})
				w.patient = true
				for n := range 5 {
					w.live(id(n), func() {})
				}
				// Deleted as soon as made: never "not found" while it may be there.
				for n := range 5 {
					_, err := w.Create(t.Context(), w.spec(id(10+n)))
					w.must(err)
					w.gone(id(10 + n))
				}
				time.Sleep(2 * lag)
				w.clean(10)
			})
		})
	}
}
