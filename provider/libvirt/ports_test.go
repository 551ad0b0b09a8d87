package libvirt_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// another is another NIC in the same world.
func (h *hands) another() *hands {
	h.t.Helper()
	o := &hands{world: h.world, t: h.t, p: h.p, id: nic.NewID()}
	o.spec = newSpec(o.id)
	if _, err := o.p.Create(h.t.Context(), o.spec); err != nil {
		h.t.Fatal(err)
	}
	return o
}

// A guest that is told twice of one request carries the second out on whatever
// is in the port by then. A card that was plugged in meanwhile stays.
func TestF22_ALateRequestThrowsOutNobody(t *testing.T) {
	for _, c := range []struct {
		name   string
		others int // cards that stay, of 4 ports
		least  time.Duration
	}{
		{"AnotherPortIsEmpty", 1, 0},
		{"NoOtherPort", 3, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHands(t, virt.ACPI)
				h.attach(vm1, nil)
				for range c.others - 1 {
					h.another().attach(vm1, nil)
				}
				h.detach("vm1", nil)
				h.another().attach(vm1, nil) // the guest is told of it, and of the request again
				time.Sleep(letsGoACPI)
				h.want("available")
				next, begin := h.another(), time.Now()
				next.attach(vm1, nil)
				if took := time.Since(begin); took < c.least || took > c.least+2*time.Second {
					t.Errorf("attached after %s; want a little more than %s", took, c.least)
				}
				for range 50 {
					time.Sleep(100 * time.Millisecond)
					next.want("attached vm1")
				}
			})
		})
	}
}

// A port that somebody else takes first is no obstacle.
func TestF22_ThePortIsTakenByHand(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.before(opPlug, func() {
			h.hand("vm1", func(d *domain) {
				d.Live = append(d.Live, virt.Interface{Alias: "net7", MAC: nic.NewMAC(), Address: address(1)})
			})
		})
		h.attach(vm1, nil)
		if seen := h.want("attached vm1"); seen.Bus != address(2) {
			t.Errorf("at %s; want %s", seen.Bus, address(2))
		}
		h.remove()
	})
}

// While all empty ports of a domain rest nobody is kept waiting there: each is
// told when to come again, and nothing has been done.
func TestF22_ARestHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		var last *hands
		for range 3 {
			last = h.another()
			last.attach(vm1, nil)
		}
		h.attach(vm1, nil)
		h.detach("vm1", nil)
		time.Sleep(letsGoACPI)
		h.want("available")
		begin := time.Now()
		for range 8 {
			one := h.another()
			_, err := one.p.Attach(t.Context(), one.id, vm1)
			one.wantErr("attach", err, provider.ErrBusy)
			if wait := later(err); wait <= 0 || wait > 3*time.Second || !strings.Contains(err.Error(), "vm1") {
				t.Errorf("put off by %s: %v", wait, err)
			}
			one.want("available")
		}
		h.another().attach(vm2, nil)
		last.detach("vm1", nil)
		if took := time.Since(begin); took > 0 {
			t.Errorf("it took %s", took)
		}
		if got := strings.Count(h.cards("vm1"), "live"); got != 3 {
			t.Errorf("vm1 has %d cards; want 3", got)
		}
		h.attach(vm1, nil)
		h.want("attached vm1")
	})
}

// One domain hangs. Another's NICs do not notice, and who calls for the one that
// hangs is told so soon; the call that it does not answer ends too.
func TestAHungDomainHoldsNobodyUp(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		plugged := h.another()
		plugged.attach(vm1, nil)
		time.Sleep(blinks)
		h.setHung("vm1", true)
		begin := time.Now()
		var calls sync.WaitGroup
		calls.Go(func() {
			_, err := h.p.Attach(t.Context(), h.id, vm1) // without a deadline of its own
			if took := time.Since(begin); !errors.Is(err, provider.ErrUnknown) || took > h.p.Info().WorstCall {
				t.Errorf("attach in vain: %v after %s", err, took)
			}
		})
		synctest.Wait()
		other := h.another()
		for range 3 {
			calls.Go(func() {
				_, err := other.p.Attach(t.Context(), other.id, vm1)
				detachErr := plugged.p.Detach(t.Context(), plugged.id, "vm1")
				if took := time.Since(begin); later(err) == 0 || later(detachErr) == 0 || took > 2*time.Second {
					t.Errorf("attach: %v, detach: %v, after %s", err, detachErr, took)
				}
			})
		}
		synctest.Wait()
		well := h.another()
		well.attach(vm2, nil)
		time.Sleep(blinks)
		well.detach("vm2", nil)
		if took := time.Since(begin); took > blinks {
			t.Errorf("vm2 was served after %s", took)
		}
		calls.Wait()
		other.want("available")
		plugged.want("attached vm1")
		h.setHung("vm1", false)
		for _, one := range []*hands{h, other} {
			one.attach(vm1, nil)
			one.want("attached vm1")
		}
	})
}

// setHung has a domain answer no call that would change it, or answer again.
func (h *hyper) setHung(name string, hung bool) {
	h.hand(name, func(d *domain) { h.hung[d.UUID] = hung })
}
