package libvirt_test

import (
	"context"
	"strings"
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

// A wait for a port ends with the caller's patience, and nothing is plugged in.
func TestF22_TheWaitForAPortEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		for range 3 {
			h.another().attach(vm1, nil)
		}
		h.attach(vm1, nil)
		h.detach("vm1", nil)
		time.Sleep(letsGoACPI)
		h.want("available")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := h.p.Attach(ctx, h.id, vm1)
		h.wantErr("attach", err, provider.ErrUnknown)
		if got := strings.Count(h.cards("vm1"), "live"); got != 3 {
			t.Errorf("vm1 has %d cards; want 3", got)
		}
		h.attach(vm1, nil)
		h.want("attached vm1")
	})
}
