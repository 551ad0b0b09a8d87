package libvirt_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
	"github.com/nicferry/nicferry/provider/providertest"
)

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := libvirt.New(libvirt.Options{Name: "no good"})
	for _, want := range []string{"no good", "open", "ledger"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}

func TestWhatNoDomainCanBeGivenIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*nic.Spec)
		field string
	}{
		"no MAC":         {func(s *nic.Spec) { s.MAC = nic.MAC{} }, "mac:"},
		"multicast MAC":  {func(s *nic.Spec) { s.MAC = nic.MAC{1, 0, 0x5e} }, "mac:"},
		"tiny MTU":       {func(s *nic.Spec) { s.MTU = 9 }, "mtu:"},
		"no port":        {func(s *nic.Spec) { s.Port = nic.Port{} }, "port.kind:"},
		"hostile bridge": {func(s *nic.Spec) { s.Port.Name = "br0'/><x" }, "port.bridge:"},
		"VLAN of bridge": {func(s *nic.Spec) { s.Port.VLAN = 7 }, "port.vlan:"},
		"made by node":   {func(s *nic.Spec) { s.Device.Kind = nic.Veth }, "device.kind:"},
		"hostile id":     {func(s *nic.Spec) { s.NIC = "nic-../../0123456789" }, "nic:"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(virt.ACPI)
			spec := newSpec(nic.NewID())
			c.spoil(&spec)
			providertest.WantRefused(t, w.controller(), spec, "alpha", c.field)
			w.ledger.WantEmpty(t, "a refused spec")
		})
	}
}

func TestPlaceSettlesNodeAndModel(t *testing.T) {
	p := newWorld(virt.ACPI).controller()
	for model, want := range map[nic.Model]nic.Model{"": nic.ModelVirtio, nic.ModelE1000e: nic.ModelE1000e} {
		spec := newSpec(nic.NewID())
		spec.Node, spec.Port.Model = "", model
		placed, err := p.Place(t.Context(), spec, nic.Node{Name: "beta"})
		if err != nil || placed.Node != "beta" || placed.Port.Model != want {
			t.Errorf("model %q placed as %+v, %v", model, placed, err)
		}
	}
}

// libvirtd may be away when the controller starts, and comes when it comes.
func TestHypervisorComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(virt.ACPI)
		var mu sync.Mutex
		there := false
		p, err := libvirt.New(libvirt.Options{Name: "lab", Ledger: w.ledger, Open: func(context.Context) (libvirt.Hypervisor, error) {
			mu.Lock()
			defer mu.Unlock()
			if !there {
				return nil, virt.ErrUnreachable
			}
			return w.hyper, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		hinted := make(chan nic.ID, 16)
		var hints sync.WaitGroup
		hints.Go(func() { p.Hints(ctx, func(id nic.ID) { hinted <- id }) })
		_, err = p.Limits(t.Context(), "vm1")
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || e.Kind != provider.ErrUnknown || e.Scope != provider.ScopeAccount || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("Limits without libvirtd: %v", err)
		}
		mu.Lock()
		there = true
		mu.Unlock()
		if id := <-hinted; id != "" {
			t.Errorf("hinted at %q; want all", id)
		}
		if limits, err := p.Limits(t.Context(), "vm1"); err != nil || limits.Free != 4 {
			t.Errorf("Limits with libvirtd: %+v, %v", limits, err)
		}
		stop()
		hints.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHintsNameTheNIC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		uuid := h.uuid("vm1")
		ctx, stop := context.WithCancel(t.Context())
		hinted := make(chan nic.ID, 16)
		var hints sync.WaitGroup
		hints.Go(func() { h.p.Hints(ctx, func(id nic.ID) { hinted <- id }) })
		synctest.Wait()
		for len(hinted) > 0 {
			<-hinted
		}
		h.attach(vm1, nil)
		if id := <-hinted; id != h.id {
			t.Errorf("plugged in %s, hinted at %q", h.id, id)
		}
		h.events <- virt.Event{Kind: virt.DeviceRemovalFailed, UUID: "x", Alias: "net0"} // none of ours
		h.events <- virt.Event{Kind: virt.DeviceRemoved, UUID: uuid, Alias: "ua-nicferry-" + string(h.id)}
		if id := <-hinted; id != h.id {
			t.Errorf("removed %s, hinted at %q", h.id, id)
		}
		synctest.Wait()
		if log := h.log.String(); !strings.Contains(log, "not by this controller") {
			t.Errorf("an unplug by hand is not told:\n%s", log)
		}
		stop()
		hints.Wait()
	})
}

func (h *hyper) uuid(name string) (uuid string) {
	h.hand(name, func(d *domain) { uuid = d.UUID })
	return uuid
}

// What libvirt refuses leaves nothing, and the error says what libvirt said.
func TestRefusedPlugLeavesNothing(t *testing.T) {
	for cause, kind := range map[error]error{
		virt.ErrNoSlot:       provider.ErrExhausted,
		virt.ErrNotRunning:   provider.ErrBusy,
		virt.ErrBusy:         provider.ErrBusy,
		virt.ErrInvalid:      provider.ErrInvalid,
		virt.ErrDenied:       provider.ErrDenied,
		virt.ErrUnsupported:  provider.ErrUnsupported,
		virt.ErrTaken:        provider.ErrInvalid,
		virt.ErrRefused:      provider.ErrInvalid,
		virt.ErrInconclusive: provider.ErrUnknown,
		virt.ErrUnreachable:  provider.ErrUnknown,
		virt.ErrNoLibvirt:    provider.ErrUnsupported,
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHands(t, virt.ACPI)
				h.failNext(opPlug, cause)
				if cause == virt.ErrTaken {
					h.failNext(opPlug, cause) // it is not the port
				}
				_, err := h.p.Attach(t.Context(), h.id, vm1)
				if !errors.Is(err, kind) || !strings.Contains(err.Error(), cause.Error()) {
					t.Errorf("attach: %v; want %v", err, kind)
				}
				if kind == provider.ErrUnknown {
					h.want("attaching vm1") // it may have taken place
					h.attach(vm2, provider.ErrElsewhere)
					time.Sleep(10 * time.Second)
				}
				h.want("available")
				h.wantCards("vm1")
				h.attach(vm1, nil)
				h.detach("vm1", nil)
				h.remove()
			})
		})
	}
}

// A card with our alias and another MAC is somebody's handiwork: it is named,
// and never touched.
func TestImpostorIsNamedAndLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		theirs := virt.Interface{Alias: "ua-nicferry-" + string(h.id), MAC: nic.MAC{2, 0, 0, 0, 0, 9}}
		h.hand("vm1", func(d *domain) { d.Live = append(d.Live, theirs) })
		if seen := h.want("failed"); !strings.Contains(seen.Reason, "vm1") || !strings.Contains(seen.Reason, theirs.MAC.String()) {
			t.Errorf("reason %q", seen.Reason)
		}
		h.attach(vm1, provider.ErrInvalid)
		h.detach("vm1", nil)
		time.Sleep(letsGoNative)
		if got := h.cards("vm1"); !strings.Contains(got, theirs.MAC.String()) {
			t.Errorf("took out a card that is not ours; left: %q", got)
		}
	})
}

// A card with an alias of ours and no record, which may be another
// controller's, is told, and nothing touches it.
func TestStrayIsListedAndLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		h.attach(vm1, nil)
		other := h.world
		other.ledger = providertest.NewLedger()
		p := other.controller()
		all, err := p.List(t.Context())
		if err != nil || len(all) != 1 || all[0].NIC != h.id || all[0].MAC != h.spec.MAC || all[0].State != nic.StateFailed ||
			!strings.Contains(all[0].Reason, "vm1") || !strings.Contains(all[0].Reason, "virsh detach-device-alias --alias ua-nicferry-"+string(h.id)) {
			t.Fatalf("List: %+v, %v", all, err)
		}
		if got, err := p.Get(t.Context(), h.id); err != nil || len(got) > 0 {
			t.Errorf("Get: %+v, %v; want nothing of what is not ours", got, err)
		}
		for range 2 {
			_, err = p.Attach(t.Context(), h.id, vm1)
			h.wantErr("attach", err, provider.ErrNotFound)
			h.wantErr("detach", p.Detach(t.Context(), h.id, "vm1"), provider.ErrNotFound)
			h.wantErr("delete", p.Delete(t.Context(), h.id), provider.ErrNotFound)
		}
		time.Sleep(letsGoNative)
		h.want("attached vm1")
		h.wantCards("vm1", "live", "stored")
		h.remove()
	})
}

func TestInTwoDomainsIsFailedUntilOneHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		h.attach(vm1, nil)
		h.hand("vm2", func(d *domain) {
			d.Stored = append(d.Stored, virt.Interface{Alias: "ua-nicferry-" + string(h.id), MAC: h.spec.MAC})
		})
		if seen := h.want("failed vm1"); !strings.Contains(seen.Reason, "vm1") || !strings.Contains(seen.Reason, "vm2 (in its stored definition only)") {
			t.Errorf("reason %q", seen.Reason)
		}
		h.detach("vm2", nil)
		h.want("attached vm1")
		h.wantCards("vm2")
		h.remove()
	})
}

// A domain without a stored definition gets the live half alone, once, and
// takes the NIC along when it ends.
func TestTransientDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		h.hand("vm1", func(d *domain) { d.Transient = true })
		h.attach(vm1, nil)
		h.failNext(opPlug, errors.New("plugged in twice"))
		h.attach(vm1, nil)
		h.want("attached vm1")
		h.wantCards("vm1", "live")
		h.undefine("vm1")
		h.want("available")
		h.remove()
	})
}

// A domain that is made anew under its name is what the config calls so, and
// has what its definition says. A renamed one keeps its NICs.
func TestDomainsThatChangeTheirNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHands(t, virt.ACPI)
		h.attach(vm1, nil)
		h.destroy("vm1")
		h.undefine("vm1")
		h.want("available")
		h.detach("vm1", nil) // F11: nothing to do is done
		h.define("vm1", virt.ACPI, 4)
		h.start("vm1")
		h.want("available")
		h.attach(vm1, nil)
		h.hand("vm1", func(d *domain) { d.Name = "old" })
		h.want("attached vm1")
		h.define("vm1", virt.ACPI, 4)
		h.detach("vm1", nil)
		time.Sleep(letsGoACPI)
		h.want("available")
		h.wantCards("old")
		h.remove()
	})
}

func TestAttachOnlyToDomainsThatAre(t *testing.T) {
	h := newHands(t, virt.ACPI)
	_, err := h.p.Attach(t.Context(), h.id, nic.Place{Node: "gamma", Instance: "vm9"})
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Kind != provider.ErrInvalid || e.Scope != provider.ScopeNode || !strings.Contains(err.Error(), "vm9") {
		t.Errorf("attach to no domain: %v", err)
	}
}
