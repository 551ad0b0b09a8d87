package sriov_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/providertest"
	"github.com/nicferry/nicferry/provider/sriov"
)

// TestF02_CrashAtEveryLedgerCall crashes the controller once, before or after the
// effect of its nth ledger call, for every n, and goes on with a new one: the NIC
// has its VFs, and in the end nothing is left.
func TestF02_CrashAtEveryLedgerCall(t *testing.T) {
	providertest.CrashAtEveryCall(t, 20, crashAndGoOn)
}

func crashAndGoOn(t *testing.T, crash *providertest.Crash) {
	t.Helper()
	w := newWorld(1)
	crash.Plan(w.ledger)
	p := w.controller()
	again := func(what string, call func() error) {
		t.Helper()
		err := crash.Survive(func() { p = w.controller() }, call)
		if err != nil && !(what == "delete" && errors.Is(err, provider.ErrNotFound)) {
			t.Fatalf("%s: %s: %v", crash, what, err)
		}
	}
	spec := ask(bond)
	again("place", func() (err error) {
		placed, err := p.Place(t.Context(), spec, w.node(alpha))
		if err == nil {
			spec = placed
		}
		return err
	})
	again("create", func() error { _, err := p.Create(t.Context(), spec); return err })
	again("attach", func() error { _, err := p.Attach(t.Context(), spec.NIC, alpha); return err })
	again("another", func() error { // has no VF that this one has
		got, err := p.Place(t.Context(), ask(either), w.node(alpha))
		if errors.Is(err, provider.ErrExhausted) {
			return nil
		}
		return fmt.Errorf("was given %+v: %w", got.Device.VF, err)
	})
	again("detach", func() error { return p.Detach(t.Context(), spec.NIC, alpha.Instance) })
	w.nodes.SetClean(alpha.Instance, spec.NIC, true)
	again("delete", func() error { return p.Delete(t.Context(), spec.NIC) })
	w.ledger.Forget()
	for range 3 { // callers repeat Delete until ErrNotFound
		if err := p.Delete(t.Context(), spec.NIC); errors.Is(err, provider.ErrNotFound) {
			break
		}
	}
	w.ledger.WantEmpty(t, crash.String())
}

// TestF40_CrashBetweenReserveAndStore: a controller that dies after it has chosen,
// and before that is stored, places the NIC once more and gets the same; and where
// the NIC is not wanted any more, its VF is anybody's after a while.
func TestF40_CrashBetweenReserveAndStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		spec := ask(one)
		first := w.place(t, w.controller(), spec, alpha)
		p := w.controller()
		if l, err := p.Limits(t.Context(), alpha.Instance); err != nil || l.Free != 2 {
			t.Errorf("limits %+v, %v; want both VFs free, of which the one is the NIC's own", l, err)
		}
		if again := w.place(t, p, spec, alpha); again.Device.VF.PCI != first.Device.VF.PCI {
			t.Errorf("placed once more with %+v; was %+v", again.Device.VF, first.Device.VF)
		}
		refused := func() {
			t.Helper()
			if got, err := p.Place(t.Context(), ask(one), w.node(alpha)); !errors.Is(err, provider.ErrExhausted) {
				t.Errorf("another gets %+v, %v", got.Device.VF, err)
			}
		}
		refused()
		time.Sleep(10 * time.Minute)
		refused()
		time.Sleep(10 * time.Minute)
		other := w.plug(t, p, ask(one), alpha)

		// The first turns up after all.
		if _, err := p.Create(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Attach(t.Context(), first.NIC, alpha); !errors.Is(err, provider.ErrExhausted) {
			t.Errorf("attach of a NIC whose VF another has got: %v", err)
		}
		time.Sleep(time.Hour) // a NIC that is there keeps its VF, however old
		refused()
		if err := p.Delete(t.Context(), first.NIC); err != nil {
			t.Fatal(err)
		}
		refused()
		w.unplug(t, p, other.NIC, alpha)
		w.ledger.WantEmpty(t, "both NICs deleted")
	})
}

// TestPlacedAndNeverMade: Delete of a NIC that was never created gives its VF back.
func TestPlacedAndNeverMade(t *testing.T) {
	w := newWorld(1)
	p := w.controller()
	spec := w.place(t, p, ask(one), alpha)
	if err := p.Delete(t.Context(), spec.NIC); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("delete: %v", err)
	}
	w.ledger.WantEmpty(t, "deleted")
	w.place(t, p, ask(one), alpha)
}

// TestF40_TwoControllers lets one controller's whole Place happen at every point
// within another's: the two never get one VF, and none is lost.
func TestF40_TwoControllers(t *testing.T) {
	for _, f := range []nic.Functions{one, bond} {
		n := 1
		for reached := true; reached; n++ {
			reached = false
			w := newWorld(2)
			a, b := w.controller(), w.controller()
			var inner nic.Spec
			w.ledger.Before(n, func() error {
				reached = true
				inner = w.place(t, b, ask(f), alpha)
				return nil
			})
			outer := w.place(t, a, ask(f), alpha)
			w.ledger.Forget()
			if !reached {
				inner = w.place(t, b, ask(f), alpha)
			}
			own(t, outer, inner)
			for _, s := range []nic.Spec{outer, inner} {
				if _, err := b.Create(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if _, err := b.Attach(t.Context(), s.NIC, alpha); err != nil {
					t.Errorf("at call %d: %v", n, err)
				}
				w.unplug(t, b, s.NIC, alpha)
			}
			w.ledger.WantEmpty(t, fmt.Sprintf("at call %d", n))
		}
		if n < 4 {
			t.Errorf("only %d points of interleaving", n)
		}
	}
}

// TestF40_ManyControllersAtOnce: whoever gets a VF has it alone, and who does not is
// told that there is none or to come again.
func TestF40_ManyControllersAtOnce(t *testing.T) {
	const vfs, takers, controllers = 7, 32, 4
	w := newWorld(vfs)
	ps := make([]*sriov.Provider, controllers)
	for i := range ps {
		ps[i] = w.controller()
	}
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		got []nic.Spec
	)
	for i := range takers {
		wg.Go(func() {
			spec := ask(one)
			for range 1000 {
				placed, err := ps[i%controllers].Place(t.Context(), spec, w.node(alpha))
				switch {
				case err == nil:
					mu.Lock()
					got = append(got, placed)
					mu.Unlock()
					return
				case errors.Is(err, provider.ErrExhausted):
					return
				case !errors.Is(err, provider.ErrBusy):
					t.Error(err)
					return
				}
			}
			t.Error("busy for ever")
		})
	}
	wg.Wait()
	own(t, got...)
	if n := len(w.ledger.Records()); n != len(got) {
		t.Errorf("%d VFs are set aside for %d NICs", n, len(got))
	}
	for len(got) < vfs { // what two have left to each other
		got = append(got, w.place(t, ps[0], ask(one), alpha))
	}
	own(t, got...)
	if more, err := ps[0].Place(t.Context(), ask(one), w.node(alpha)); !errors.Is(err, provider.ErrExhausted) {
		t.Errorf("of %d VFs there is one more: %+v, %v", vfs, more.Device.VF, err)
	}
}

// own demands that no VF is in two recipes.
func own(t *testing.T, specs ...nic.Spec) {
	t.Helper()
	whose := map[string]nic.ID{}
	for _, s := range specs {
		vfs := s.Device.Bond.Members
		if s.Device.Kind == nic.SRIOV {
			vfs = []nic.VF{s.Device.VF}
		}
		for _, vf := range vfs {
			if other, ok := whose[vf.PCI]; ok {
				t.Errorf("VF %s is %s's and %s's", vf.PCI, other, s.NIC)
			}
			whose[vf.PCI] = s.NIC
		}
	}
}
