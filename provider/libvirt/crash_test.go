package libvirt_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

var errCrash = errors.New("the controller crashed")

// TestF02_CrashAtEveryCall crashes the controller once at every call of its
// ledger, before and after the effect, and at every call of libvirt, before the
// effect and with the reply lost, and goes on with a new one. The NIC is never
// in two domains, and nothing is left.
func TestF02_CrashAtEveryCall(t *testing.T) {
	for _, side := range []string{"ledger before", "ledger after", "plug fails", "plug loses", "unplug fails", "unplug loses", "look fails"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			n := 1
			for crashed := true; crashed; n++ {
				synctest.Test(t, func(t *testing.T) { crashed = crashAndGoOn(t, side, n) })
			}
			if n < 3 {
				t.Errorf("only %d calls were crashed", n-1)
			}
		})
	}
}

// crashAndGoOn says whether there was an nth such call.
func crashAndGoOn(t *testing.T, side string, n int) (crashed bool) {
	h := newHands(t, virt.ACPI)
	crash := func() error { crashed = true; return errCrash }
	var arm func(op string, n int, do func())
	arm = func(op string, n int, do func()) {
		h.before(op, func() {
			if n > 1 {
				arm(op, n-1, do)
				return
			}
			crashed = true
			do()
		})
	}
	switch side {
	case "ledger before":
		h.ledger.Before(n, crash)
	case "ledger after":
		h.ledger.After(n, crash)
	case "plug fails":
		arm(opPlug, n, func() { h.failNext(opPlug, virt.ErrUnreachable) })
	case "plug loses":
		arm(opPlug, n, func() { h.loseNext(opPlug) })
	case "unplug fails":
		arm(opUnplug, n, func() { h.failNext(opUnplug, virt.ErrUnreachable) })
	case "unplug loses":
		arm(opUnplug, n, func() { h.loseNext(opUnplug) })
	default:
		arm(opDomains, n, func() { h.failNext(opDomains, virt.ErrUnreachable) })
	}
	for _, at := range []nic.Place{vm1, vm2, vm1} {
		h.drive("attach", nic.StateAttached, at, func() error {
			_, err := h.p.Attach(t.Context(), h.id, at)
			return err
		})
		h.drive("detach", nic.StateAvailable, nic.Place{}, func() error { return h.p.Detach(t.Context(), h.id, at.Instance) })
	}
	h.ledger.Forget()
	h.calm()
	h.remove()
	return crashed
}

// calm drops what was planned for libvirt's calls.
func (h *hyper) calm() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.hook)
	clear(h.fail)
	clear(h.lose)
}

// drive repeats a verb, on a new controller after a crash, until Get says want.
func (h *hands) drive(verb string, want nic.State, at nic.Place, call func() error) {
	h.t.Helper()
	for range 300 {
		err := call()
		if errors.Is(err, provider.ErrUnknown) {
			h.p = h.controller()
		} else if err != nil && !errors.Is(err, provider.ErrBusy) {
			h.t.Fatalf("%s: %v", verb, err)
		}
		all, err := h.p.Get(h.t.Context(), h.id)
		if err != nil {
			h.p = h.controller()
			continue
		}
		switch seen := all[h.id]; {
		case seen.State == nic.StateFailed:
			h.t.Fatalf("%s: failed: %s", verb, seen.Reason)
		case seen.State == want && seen.Place == at:
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	h.t.Fatalf("%s: never %s", verb, want)
}

// TestF15_TwoControllers lets another controller's whole verb happen at each
// call of libvirt within the first one's. The NIC ends in one domain at most,
// or in none, and can be removed without a trace.
func TestF15_TwoControllers(t *testing.T) {
	verbs := map[string]func(h *hands, p provider.Provider) error{
		"attach vm1": func(h *hands, p provider.Provider) error {
			_, err := p.Attach(h.t.Context(), h.id, vm1)
			return err
		},
		"attach vm2": func(h *hands, p provider.Provider) error {
			_, err := p.Attach(h.t.Context(), h.id, vm2)
			return err
		},
		"detach vm1": func(h *hands, p provider.Provider) error { return p.Detach(h.t.Context(), h.id, "vm1") },
		"delete":     func(h *hands, p provider.Provider) error { return p.Delete(h.t.Context(), h.id) },
	}
	for outer, first := range verbs {
		for inner, second := range verbs {
			for _, op := range []string{opDomain, opDomains, opPlug, opUnplug} {
				for _, begun := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s within %s at %s, plugged in %t", inner, outer, op, begun), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							h := newHands(t, virt.ACPI)
							if begun {
								h.attach(vm1, nil)
							}
							other := h.controller()
							h.before(op, func() { h.wantHonest(inner, second(h, other)) })
							h.wantHonest(outer, first(h, h.p))
							time.Sleep(11 * time.Second)
							if all, err := h.p.Get(t.Context(), h.id); err != nil || all[h.id].State == nic.StateFailed {
								t.Errorf("ends as %+v, %v", all, err)
							}
							h.remove()
							h.wantCards("vm1")
							h.wantCards("vm2")
						})
					})
				}
			}
		}
	}
}

// wantHonest allows what a verb may say while another is at the same NIC.
func (h *hands) wantHonest(verb string, err error) {
	h.t.Helper()
	for _, kind := range []error{nil, provider.ErrBusy, provider.ErrElsewhere, provider.ErrNotFound} {
		if errors.Is(err, kind) {
			return
		}
	}
	h.t.Errorf("%s: %v", verb, err)
}
