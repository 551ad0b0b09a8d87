package libvirt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// bubble runs a test in virtual time, once per way to hot-plug.
func bubble(t *testing.T, run func(*testing.T, virt.HotplugMode)) {
	for _, mode := range []virt.HotplugMode{virt.ACPI, virt.Native} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { run(t, mode) })
		})
	}
}

// A NIC that Get calls available can be attached at once, 200 times in a row,
// and is never there twice.
func TestF20_DetachIsDoneWhenTheDeviceIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		for range 200 {
			h.attach(vm1, nil)
			h.wantCards("vm1", "live", "stored")
			h.detach("vm1", nil)
			h.want("detaching vm1")
			h.attach(vm1, provider.ErrBusy)
			h.attach(vm2, provider.ErrElsewhere)
			h.wantErr("delete", h.p.Delete(t.Context(), h.id), provider.ErrBusy)
			time.Sleep(letsGoNative)
			h.want("available")
			h.wantCards("vm1")
		}
		h.remove()
	})
}

func TestF21_FrozenGuest(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		ctx, stop := context.WithCancel(t.Context())
		var hints sync.WaitGroup
		hints.Go(func() { h.p.Hints(ctx, func(nic.ID) {}) })
		defer hints.Wait()
		defer stop()

		h.pause("vm1")
		h.attach(vm1, nil)
		h.want("attaching vm1") // the guest finds it when it wakes
		h.resume("vm1")
		h.want("attached vm1")

		h.pause("vm1")
		h.detach("vm1", nil)
		for range 6 {
			time.Sleep(10 * time.Second)
			h.want("detaching vm1")
			h.attach(vm1, provider.ErrBusy) // the request stands, however old
			h.detach("vm1", nil)
		}
		h.resume("vm1")
		time.Sleep(letsGoNative)
		h.want("available")
		synctest.Wait()
		if log := h.log.String(); !strings.Contains(log, "guest has let the NIC go") || strings.Contains(log, "not by this controller") {
			t.Errorf("the late removal was not taken for ours:\n%s", log)
		}
		h.remove()
	})
}

// A guest that boots forgets what it was asked.
func TestF21_BootingGuest(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.hand("vm1", func(d *domain) { d.booting = true })
		h.attach(vm1, nil)
		h.detach("vm1", nil)
		time.Sleep(10 * time.Second)
		h.want("detaching vm1")
		h.hand("vm1", func(d *domain) { d.booting = false })
		time.Sleep(time.Minute)
		h.want("detaching vm1") // Get mends nothing
		h.detach("vm1", nil)
		time.Sleep(letsGoNative)
		h.want("available")
		h.remove()
	})
}

func TestF22_F27_SecondUnplugIsHarmlessAndSpaced(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.hand("vm1", func(d *domain) { d.booting = true }) // lets go of nothing
		h.attach(vm1, nil)
		time.Sleep(blinks)
		for range 60 {
			h.detach("vm1", nil)
			h.want("detaching vm1")
			if n := len(h.ledger.Records()); n < 2 {
				t.Fatalf("%d records of a NIC that is still there", n)
			}
			time.Sleep(250 * time.Millisecond)
		}
		const least = 5 * time.Second
		asked := h.requests()
		if want := int(15 * time.Second / least); len(asked) != want {
			t.Errorf("the guest was asked %d times in 15 s; want %d", len(asked), want)
		}
		for i := 1; i < len(asked); i++ {
			if gap := asked[i].Sub(asked[i-1]); gap < least {
				t.Errorf("asked again after %s; want %s", gap, least)
			}
		}
		h.hand("vm1", func(d *domain) { d.booting = false })
		time.Sleep(least)
		h.detach("vm1", nil)
		h.p = h.controller() // knows nothing of the request, and asks again
		h.detach("vm1", nil)
		time.Sleep(letsGoNative)
		h.want("available")
		h.detach("vm1", nil)
		h.remove()
	})
}

// A guest with native hot-plug takes no request while it powers a card on. That
// is told as busy, until it has been asked for sure, and not as done.
func TestF27_ABusyGuestIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.Native)
		h.attach(vm1, nil)
		for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
			h.detach("vm1", provider.ErrBusy)
			h.want("detaching vm1")
		}
		h.detach("vm1", nil)
		if n := len(h.requests()); n != 2 {
			t.Errorf("the guest was asked %d times; want one that it refused and one 5 s later", n)
		}
		time.Sleep(letsGoNative)
		h.want("available")
		h.remove()
	})
}

func TestF23_SlotsAreCountedBeforeAnythingIsMade(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		w := newWorld(mode)
		p := w.controller()
		var ids [6]nic.ID
		for i := range ids {
			ids[i] = nic.NewID()
			if _, err := p.Create(t.Context(), newSpec(ids[i])); err != nil {
				t.Fatal(err)
			}
		}
		w.failNext(opPlug) // none: what is refused must be so before libvirt is asked
		var mu sync.Mutex
		var refused []error
		var in []nic.ID
		var wg sync.WaitGroup
		for _, id := range ids {
			wg.Go(func() {
				_, err := p.Attach(t.Context(), id, vm1)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused = append(refused, err)
				} else {
					in = append(in, id)
				}
			})
		}
		wg.Wait()
		if len(in) != 4 || len(refused) != 2 {
			t.Fatalf("%d in, %v; want 4 and 2 refused", len(in), refused)
		}
		for _, err := range refused {
			if !errors.Is(err, provider.ErrExhausted) || !strings.Contains(err.Error(), "vm1: 0 of 4 hot-plug slots free") {
				t.Errorf("refused with %v", err)
			}
		}
		if limits, err := p.Limits(t.Context(), "vm1"); err != nil || limits.Free != 0 || limits.NICs != 4 || limits.Slot != "hot-plug slot" {
			t.Errorf("limits %+v, %v", limits, err)
		}
		time.Sleep(blinks)
		if err := p.Detach(t.Context(), in[0], "vm1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(letsGoNative)
		admitted := 0
		for _, id := range ids {
			_, err := p.Attach(t.Context(), id, vm1)
			if wait := later(err); wait > 0 { // the port rests
				time.Sleep(wait)
				_, err = p.Attach(t.Context(), id, vm1)
			}
			if err == nil {
				admitted++
			}
		}
		if admitted != 4 {
			t.Errorf("%d NICs are in after one has left; want 4", admitted)
		}
	})
}

func TestF24_ExactlyOurDeviceGoes(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.attach(vm1, nil)
		twin := virt.Interface{Alias: "net7", MAC: h.spec.MAC, Address: "0000:00:09.0"}
		h.hand("vm1", func(d *domain) { // first, where a search by MAC finds it
			d.Live = append([]virt.Interface{twin}, d.Live...)
			d.Stored = append([]virt.Interface{twin}, d.Stored...)
		})
		if seen := h.want("attached vm1"); seen.Bus == twin.Address {
			t.Errorf("took the twin at %s for the NIC", seen.Bus)
		}
		h.detach("vm1", nil)
		time.Sleep(letsGoNative)
		h.want("available")
		mac := h.spec.MAC.String()
		if got, want := h.cards("vm1"), "live net7 "+mac+", stored net7 "+mac; got != want {
			t.Fatalf("vm1 has %q; want %q", got, want)
		}
		// The agent could not tell the two apart, so they are not put together.
		h.attach(vm1, provider.ErrInvalid)
		h.want("available")
		h.attach(vm2, nil)
		h.detach("vm2", nil)
		h.remove()
	})
}

func TestF25_PowerCycleKeepsMACAndAlias(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.attach(vm1, nil)
		h.destroy("vm1")
		if seen := h.want("attached vm1"); seen.MAC != h.spec.MAC || seen.Device.MTU != 1400 || seen.Device.Kind != nic.Found {
			t.Errorf("off: %+v", seen)
		}
		h.start("vm1")
		h.want("attached vm1")
		h.wantCards("vm1", "live", "stored")
		h.destroy("vm1")
		h.detach("vm1", nil)
		h.want("available")
		h.wantCards("vm1")
		h.attach(vm1, nil) // into a domain that is off
		h.wantCards("vm1", "stored")
		h.start("vm1")
		h.want("attached vm1")
		h.remove()
	})
}

// Half of a NIC is told as it is, left alone by Get, and made whole by Attach
// or gone by Detach.
func TestF25_HalfStatesAreMended(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(*domain)
		half   string
		cards  []string
		detach bool
	}{
		{"LiveOnly/Attach", func(d *domain) { d.Stored = nil }, "attached vm1", []string{"live"}, false},
		{"LiveOnly/Detach", func(d *domain) { d.Stored = nil }, "attached vm1", []string{"live"}, true},
		{"StoredOnly/Attach", func(d *domain) { d.Live = nil }, "attaching vm1", []string{"stored"}, false},
		{"StoredOnly/Detach", func(d *domain) { d.Live = nil }, "attaching vm1", []string{"stored"}, true},
		{"ByHand/Attach", func(d *domain) { d.Live, d.Stored = nil, nil }, "attaching vm1", nil, false},
		{"ByHand/Detach", func(d *domain) { d.Live, d.Stored = nil, nil }, "attaching vm1", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHands(t, virt.ACPI)
				h.attach(vm1, nil)
				h.hand("vm1", c.spoil)
				h.want(c.half)
				h.wantCards("vm1", c.cards...)
				if c.cards == nil {
					time.Sleep(10 * time.Second)
					h.want("available") // nothing is on its way any more
				}
				if c.detach {
					h.detach("vm1", nil)
					time.Sleep(letsGoACPI)
					h.want("available")
					h.wantCards("vm1")
				} else {
					h.attach(vm1, nil)
					h.want("attached vm1")
					h.wantCards("vm1", "live", "stored")
				}
				h.remove()
			})
		})
	}
}

func TestF26_StaleRecordBlocksNothing(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.attach(vm1, nil)
		h.failNext(opUnplug, virt.ErrInconclusive) // the guest was never asked
		h.detach("vm1", provider.ErrUnknown)
		h.p = h.controller()
		h.want("detaching vm1")
		_, err := h.p.Attach(t.Context(), h.id, vm2)
		if !errors.Is(err, provider.ErrElsewhere) || !strings.Contains(err.Error(), "vm1") {
			t.Errorf("attach to another domain: %v; want it to name vm1", err)
		}
		h.attach(vm1, provider.ErrBusy)
		time.Sleep(20 * time.Second) // the guest has had its time
		for range 2 {
			h.attach(vm1, nil)
			h.want("attached vm1")
			h.wantCards("vm1", "live", "stored")
		}
		// A refusal is told, and the NIC is as it was.
		h.failNext(opUnplug, virt.ErrDenied)
		h.detach("vm1", provider.ErrDenied)
		h.want("attached vm1")
		h.attach(vm1, nil)
		h.remove()
	})
}

func TestF27_ModesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(virt.ACPI)
		w.define("slow", virt.Native, 8)
		p := w.controller()
		ctx, stop := context.WithCancel(t.Context())
		var hints sync.WaitGroup
		hints.Go(func() { p.Hints(ctx, func(nic.ID) {}) })
		time.Sleep(time.Second)
		w.start("slow") // changes, and is not told again
		synctest.Wait()
		stop()
		hints.Wait()
		log := w.log.String()
		for _, want := range []string{
			`level=INFO msg="domain found" provider=lab domain=vm1`,
			`level=WARN msg="domain unplugs by native PCIe hot-plug`, "domain=slow", "mode=native slots=8",
		} {
			if strings.Count(log, want) != 1 {
				t.Errorf("want %q once in\n%s", want, log)
			}
		}
	})
}

// Whatever event is lost, and whoever was restarted, listing tells the outcome.
func TestF28_LostEventsAreMadeUpForByListing(t *testing.T) {
	bubble(t, func(t *testing.T, mode virt.HotplugMode) {
		h := newHands(t, mode)
		h.attach(vm1, nil)
		h.detach("vm1", nil)
		h.failNext(opDomains, virt.ErrUnreachable) // libvirtd restarts
		if _, err := h.p.Get(t.Context(), h.id); !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("Get without libvirtd: %v", err)
		}
		h.failNext(opDomains, virt.ErrUnreachable)
		if all, err := h.p.List(t.Context()); !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("List without libvirtd: %v, %v; want no short list", all, err)
		}
		time.Sleep(letsGoNative)
		for len(h.events) > 0 {
			<-h.events
		}
		h.p = h.controller()
		h.want("available")
		h.loseNext(opPlug)
		h.attach(vm1, provider.ErrUnknown)
		h.p = h.controller()
		h.want("attached vm1")
		h.remove()
	})
}

// The domain is destroyed, or undefined too, at every call that an attach and a
// detach make. Nothing is left, in the ledger or in any definition.
func TestF29_DomainEndsAtEveryStep(t *testing.T) {
	ends := map[string]func(h *hands){
		"destroyed": func(h *hands) { h.destroy("vm1") },
		"undefined": func(h *hands) { h.destroy("vm1"); h.undefine("vm1") },
		"restarted": func(h *hands) { h.destroy("vm1"); h.start("vm1") },
	}
	for name, end := range ends {
		for _, op := range []string{opDomain, opDomains, opPlug, opUnplug} {
			for nth := 1; nth <= 3; nth++ {
				t.Run(fmt.Sprintf("%s/%s%d", name, op, nth), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { endAt(t, op, nth, end) })
				})
			}
		}
	}
}

func endAt(t *testing.T, op string, nth int, end func(*hands)) {
	h := newHands(t, virt.ACPI)
	var arm func(int)
	arm = func(n int) {
		h.before(op, func() {
			if n == 1 {
				end(h)
			} else {
				arm(n - 1)
			}
		})
	}
	arm(nth)
	if _, err := h.p.Attach(t.Context(), h.id, vm1); err != nil && errors.Is(err, provider.ErrNotFound) {
		t.Errorf("attach says that the NIC is gone: %v", err)
	}
	if err := h.p.Detach(t.Context(), h.id, "vm1"); err != nil {
		t.Errorf("detach: %v", err)
	}
	time.Sleep(10 * time.Second)
	all, err := h.p.Get(t.Context(), h.id)
	if err != nil {
		t.Fatal(err)
	}
	if seen := all[h.id]; seen.State == nic.StateDetaching { // asked of a guest that is no more
		h.detach("vm1", nil)
		time.Sleep(letsGoACPI)
	}
	h.want("available")
	if d, err := h.hyper.Domain(t.Context(), "vm1"); err == nil && len(d.Live)+len(d.Stored) > 0 {
		t.Errorf("left in vm1: %+v", d)
	}
	h.attach(vm2, nil)
	h.detach("vm2", nil)
	h.remove()
}
