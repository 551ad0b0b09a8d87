//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A guest loses its power and gets it back: its container comes back with the
// same card, under the same alias, with the same MAC and address.
func TestF25_PowerCycle(t *testing.T) {
	r := use(t)
	n := r.node(1)
	r.run(n, "web", "--restart", "always", "--label", "nicferry.network=lab")
	before := r.eth0(n, "web")
	live, _ := r.cards("vm1")
	r.sh(n, "sync") // else dockerd may have lost its container with the power
	r.must(r.Virt().Destroy(t.Context(), "vm1"))
	if now, stored := r.cards("vm1"); len(now) != 0 || len(stored) != 1 || stored[0].Alias != live[0].Alias || stored[0].MAC != live[0].MAC {
		t.Fatalf("off, vm1 has live %+v and stored %+v; it had %+v", now, stored, live)
	}
	r.must(r.powerOn(t.Context(), n))
	if after := r.eth0(n, "web"); after != before {
		t.Errorf("eth0 was %+v and is %+v", before, after)
	}
	r.pings(before.Addr.Addr())
	now, stored := r.cards("vm1")
	if len(now) != 1 || len(stored) != 1 || now[0].Alias != live[0].Alias || now[0].MAC != live[0].MAC {
		t.Errorf("vm1 has live %+v and stored %+v; it had %+v", now, stored, live)
	}
}

// A domain is destroyed before, during and after an attach and a detach. No tap,
// no card and no slot is left taken.
func TestF29_DestroyedAtEveryStep(t *testing.T) {
	r := use(t)
	s := r.spare("doomed", virt.ACPI)
	for round := range rounds(10, 50) {
		s.start()
		h := r.hand(r.Virt())
		h.destroyedAt(round%len(destructions), s.name)
		if err := h.remove(t.Context()); err != nil {
			t.Fatalf("round %d, %s: %v", round, destructions[round%len(destructions)], err)
		}
		r.must(r.Virt().Destroy(t.Context(), s.name))
		domains, err := r.Virt().Domains(t.Context())
		r.must(err)
		r.must(r.hostLinks(t.Context(), domains))
		if live, stored := h.inDomain(s.name); live+stored > 0 {
			t.Fatalf("round %d: a card is left in %s", round, s.name)
		}
		limits, err := h.p.Limits(t.Context(), nic.InstanceID(s.name))
		r.must(err)
		if limits.Free != sparePorts || limits.NICs != sparePorts {
			t.Fatalf("round %d: %d of %d slots are free", round, limits.Free, limits.NICs)
		}
	}
}

var destructions = []string{"before the attach", "during the attach", "after the attach", "during the detach", "after the detach"}

// destroyedAt attaches and detaches the NIC, and destroys the domain at the step.
func (h *hand) destroyedAt(step int, domain string) {
	t := h.r.t
	t.Helper()
	ctx := t.Context()
	destroy := func() {
		if err := h.r.Virt().Destroy(ctx, domain); err != nil {
			t.Error(err)
		}
	}
	var meanwhile sync.WaitGroup
	defer meanwhile.Wait()
	soon := func() {
		meanwhile.Go(func() {
			time.Sleep(rand.N(150 * time.Millisecond)) // somewhere within it
			destroy()
		})
	}
	honest := func(verb string, err error) {
		t.Helper()
		for _, kind := range []error{nil, provider.ErrBusy, provider.ErrUnknown, provider.ErrElsewhere} {
			if errors.Is(err, kind) {
				return
			}
		}
		t.Errorf("%s %s: %v", destructions[step], verb, err)
	}
	switch step {
	case 0:
		destroy()
	case 1:
		soon()
	}
	_, err := h.p.Attach(ctx, h.spec.NIC, at(domain))
	honest("attach", err)
	switch step {
	case 2:
		destroy()
	case 3:
		soon()
	}
	honest("detach", h.p.Detach(ctx, h.spec.NIC, nic.InstanceID(domain)))
	if step == 4 {
		destroy()
	}
}

// A detach was asked for in vain, and the controller died: the NIC can be
// attached where it is, and elsewhere only when it is out, which is said.
func TestF26_AfterAFailedDetach(t *testing.T) {
	r := use(t)
	lossy := &deaf{Conn: r.Virt()}
	h := r.hand(lossy)
	h.attach("vm1")
	lossy.on = true
	if err := h.p.Detach(t.Context(), h.spec.NIC, "vm1"); !errors.Is(err, provider.ErrUnknown) {
		t.Fatalf("detach: %v", err)
	}
	lossy.on = false
	h.restart()
	if err := h.refused("vm2", provider.ErrElsewhere); err != nil && !names(err, "vm1") {
		t.Errorf("attach to vm2: %v; want it to name vm1", err)
	}
	r.until("the NIC to be attached where it is", patience, func(ctx context.Context) error {
		_, err := h.p.Attach(ctx, h.spec.NIC, at("vm1"))
		return err
	})
	h.attach("vm1")
	if live, stored := h.inDomain("vm1"); live != 1 || stored != 1 {
		t.Errorf("vm1 has the card %d times live and %d times stored; want once each", live, stored)
	}
}

// A deaf hypervisor does not hear that something is to be unplugged.
type deaf struct {
	*virt.Conn
	on bool
}

func (d *deaf) Unplug(ctx context.Context, domain string, i virt.Interface) error {
	if d.on {
		return fmt.Errorf("%w: nobody heard it", virt.ErrInconclusive)
	}
	return d.Conn.Unplug(ctx, domain, i)
}
