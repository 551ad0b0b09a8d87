package enitest

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// DiesBetweenTwoSteps: whoever comes next finds it all by its tags.
func DiesBetweenTwoSteps(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{Latency: v.Latency})
		w.Live(ID(1), func() { w.Provider = w.Another() })
		w.Clean(1)

		// And of one that is forgotten wherever it was, List tells.
		w.Attached(ID(2), w.At(0))
		w.Created(ID(3))
		w.Must(w.Provider.Detach(t.Context(), ID(2), w.VMs[0]))
		w.Provider = w.Another()
		left, err := w.List(t.Context())
		if err != nil || len(left) != 2 {
			t.Fatalf("%+v, %v; want both", left, err)
		}
		for _, n := range left {
			w.Gone(n.NIC)
		}
		w.Clean(3)
	})
}

// EachCallFails: each action fails once in each way, and again on the way
// back.
func EachCallFails(t *testing.T, v *Vendor) {
	t.Parallel()
	for _, action := range append(v.lifeActions(), v.Act.Interfaces, v.Act.Instances, v.Act.Subnets, v.Act.Types) {
		for name, f := range map[string]cloudsim.Fault{
			"throttled": {Verb: cloudsim.Throttle, Count: 3},
			"failed":    {Verb: cloudsim.ServerError, Count: 2 * v.Attempts},
			"once":      {Verb: cloudsim.ServerError},
			"503":       {Verb: cloudsim.ServerError, Code: "Unavailable", Status: http.StatusServiceUnavailable, Count: v.Attempts},
			"reset":     {Verb: cloudsim.Reset, Count: v.Attempts},
			"HTML":      {Verb: cloudsim.HTML, Count: v.Attempts},
			"conflict":  {Verb: cloudsim.Conflict, Count: 2},
		} {
			if name == "conflict" && action != v.Act.Attach && action != v.Act.Detach && action != v.Act.Delete {
				continue
			}
			t.Run(action+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := Open(t, v, cloudsim.Options{})
					f := f
					f.API = action
					w.Inject(f)
					w.LivePatiently(ID(1))
					w.Clean(1)
				})
			})
		}
	}
}

// LostReplies: it took place and the answer is lost, in each of the ways
// that an answer is no answer, also across a restart.
func LostReplies(t *testing.T, v *Vendor) {
	t.Parallel()
	for _, verb := range []cloudsim.Verb{cloudsim.LoseReply, cloudsim.Empty, cloudsim.Half, cloudsim.HTML} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restart=%t", verb, restarted), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := Open(t, v, cloudsim.Options{})
					w.Patient = true
					page := 0
					if verb == cloudsim.HTML {
						page = http.StatusOK
					}
					for n := range 5 {
						for _, action := range v.lifeActions() {
							w.Inject(cloudsim.Fault{Verb: verb, API: action, Count: w.Attempts, After: verb == cloudsim.HTML, Status: page})
						}
						w.Live(ID(n), func() {
							if restarted {
								w.Provider = w.Another()
							}
						})
						w.Cloud.Clear()
					}
					w.Clean(5)
				})
			})
		}
	}
}

// OtherParameters: the same id with other parameters is our own error, and
// no loop.
func OtherParameters(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{Lag: cloudsim.Lag{Describe: cloudsim.Range{Min: 20 * time.Second, Max: 20 * time.Second}}})
		_, err := w.Provider.Create(t.Context(), w.Spec(ID(1)))
		w.Must(err)
		other := w.Spec(ID(1))
		other.Cloud.Subnet = w.Nets[1]
		if _, err := w.Another().Create(t.Context(), other); !errors.Is(err, provider.ErrBusy) {
			t.Errorf("%v; want busy while the cloud does not show the first", err)
		}
		time.Sleep(time.Minute)
		if _, err := w.Another().Create(t.Context(), other); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
		w.Gone(ID(1))
		w.Clean(1)
	})
}

// ExplicitAddress: where the cloud looks at the address before it looks at the
// token, our own first attempt is in our way.
func ExplicitAddress(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{AddressFirst: true, Lag: cloudsim.Lag{Describe: cloudsim.Range{Min: 10 * time.Second, Max: 10 * time.Second}}})
		spec := w.Spec(ID(1))
		spec.Addrs = Addrs("10.80.0.77")
		w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: w.Act.Create, Count: w.Attempts})
		w.Insist(func() error { _, err := w.Provider.Create(t.Context(), spec); return err })
		if seen := w.Until(ID(1), nic.StateAvailable); seen.Addrs[0] != netip.MustParseAddr("10.80.0.77") {
			t.Errorf("%+v", seen)
		}
		other := w.Spec(ID(2))
		other.Addrs = spec.Addrs
		_, err := w.Provider.Create(t.Context(), other)
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrInvalid || e.Scope != provider.ScopeAddress {
			t.Errorf("%v; want invalid: somebody else has the address", err)
		}
		w.Gone(ID(1))
		w.Clean(1)
	})
}

// HiddenAtFirst: what the cloud does not show yet is neither made twice, nor said
// to be gone.
func HiddenAtFirst(t *testing.T, v *Vendor) {
	t.Parallel()
	for _, lag := range []time.Duration{time.Second, 10 * time.Second, 30 * time.Second} {
		t.Run(lag.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := Open(t, v, cloudsim.Options{Lag: cloudsim.Lag{Describe: cloudsim.Range{Max: lag}}, Latency: v.Latency, Seed: 7})
				w.Patient = true
				for n := range 5 {
					w.Live(ID(n), func() {})
				}
				// Deleted as soon as made: never "not found" while it may be there.
				for n := range 5 {
					_, err := w.Provider.Create(t.Context(), w.Spec(ID(10+n)))
					w.Must(err)
					w.Gone(ID(10 + n))
				}
				time.Sleep(2 * lag)
				w.Clean(10)
			})
		})
	}
}
