package libvirt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
	"github.com/nicferry/nicferry/provider/providertest"
)

func TestMain(m *testing.M) {
	// libvirt knows no end of its event loop.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nicferry/nicferry/internal/virt.runLoop"))
}

var (
	vm1 = nic.Place{Node: "alpha", Instance: "vm1"}
	vm2 = nic.Place{Node: "beta", Instance: "vm2"}
)

// What people do with domains by hand.

func (h *hyper) define(name string, mode virt.HotplugMode, ports int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.born++
	d := &domain{ports: ports, leaving: map[string]time.Time{}, plugged: map[string]time.Time{}, twice: map[string]bool{}, ejects: map[string]time.Time{}}
	d.Name, d.UUID = name, fmt.Sprintf("00000000-0000-4000-8000-%012d", h.born)
	d.State, d.Hotplug = virt.Off, mode
	h.domains = append(h.domains, d)
}

// hand changes a domain and has libvirt say so.
func (h *hyper) hand(name string, do func(*domain)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pass()
	d, err := h.find(name)
	if err != nil {
		panic(err) // the test has named it wrongly
	}
	do(d)
	h.tell(virt.Event{Kind: virt.DomainChanged, UUID: d.UUID})
}

func (h *hyper) start(name string) {
	h.hand(name, func(d *domain) { d.State, d.Live = virt.Running, slices.Clone(d.Stored) })
}

func (h *hyper) destroy(name string) {
	h.hand(name, func(d *domain) {
		d.State, d.Live = virt.Off, nil
		clear(d.leaving)
		clear(d.ejects)
	})
}

func (h *hyper) setOff(instance nic.InstanceID, off bool) {
	if off {
		h.destroy(string(instance))
		return
	}
	h.start(string(instance))
}

func (h *hyper) pause(name string) { h.hand(name, func(d *domain) { d.State = virt.Paused }) }

func (h *hyper) resume(name string) {
	h.hand(name, func(d *domain) {
		d.State = virt.Running
		for alias := range d.leaving {
			d.leaving[alias] = time.Now().Add(letsGo(d.Hotplug))
		}
	})
}

func (h *hyper) undefine(name string) {
	h.hand(name, func(gone *domain) {
		h.domains = slices.DeleteFunc(h.domains, func(d *domain) bool { return d == gone })
	})
}

// cards tells of the cards of a domain, as "live" or "stored" and the alias.
func (h *hyper) cards(name string) string {
	var told []string
	h.hand(name, func(d *domain) {
		for _, c := range d.Live {
			told = append(told, "live "+strings.TrimPrefix(c.Alias, "ua-nicferry-")+" "+c.MAC.String())
		}
		for _, c := range d.Stored {
			told = append(told, "stored "+strings.TrimPrefix(c.Alias, "ua-nicferry-")+" "+c.MAC.String())
		}
	})
	return strings.Join(told, ", ")
}

func (h *hyper) requests() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asked)
}

func (h *hyper) failNext(op string, errs ...error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail[op] = append(h.fail[op], errs...)
}

func (h *hyper) loseNext(op string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lose[op]++
}

func (h *hyper) before(op string, do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hook[op] = do
}

// A world is a hypervisor and a ledger, on which controllers come and go.
type world struct {
	*hyper
	ledger *providertest.Ledger
	log    *journal
}

func newWorld(mode virt.HotplugMode) world {
	return world{newHyper(mode, 4, "vm1", "vm2"), providertest.NewLedger(), &journal{}}
}

func (w world) controller() *libvirt.Provider {
	p, err := libvirt.New(libvirt.Options{
		Name: "lab", Ledger: w.ledger, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Open: func(context.Context) (libvirt.Hypervisor, error) { return w.hyper, nil },
	})
	if err != nil {
		panic(err) // the options are constant
	}
	return p
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newSpec(id nic.ID) nic.Spec {
	return nic.Spec{
		NIC: id, Network: "lab", Tenant: "default", Node: vm1.Node, MAC: nic.NewMAC(), MTU: 1400,
		Port: nic.Port{Kind: nic.PortBridge, Name: "br0", Model: nic.ModelVirtio},
	}
}

// A hands is one controller with one NIC.
type hands struct {
	world
	t    *testing.T
	p    *libvirt.Provider
	id   nic.ID
	spec nic.Spec
}

func newHands(t *testing.T, mode virt.HotplugMode) *hands {
	t.Helper()
	h := &hands{world: newWorld(mode), t: t, id: nic.NewID()}
	h.p, h.spec = h.controller(), newSpec(h.id)
	if _, err := h.p.Create(t.Context(), h.spec); err != nil {
		t.Fatal(err)
	}
	return h
}

// attach repeats what the provider puts off, as often as it is told to, unless
// that is wanted.
func (h *hands) attach(place nic.Place, want error) nic.Seen {
	h.t.Helper()
	seen, err := h.p.Attach(h.t.Context(), h.id, place)
	for tries := 0; want == nil && later(err) > 0 && tries < 10; tries++ {
		time.Sleep(later(err))
		seen, err = h.p.Attach(h.t.Context(), h.id, place)
	}
	h.wantErr("attach", err, want)
	return seen
}

// later is when the call is to be repeated, 0 if that is not said.
func later(err error) time.Duration {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Kind != provider.ErrBusy {
		return 0
	}
	return e.RetryAfter
}

// detach repeats what a busy guest refuses, unless that is wanted.
func (h *hands) detach(instance nic.InstanceID, want error) {
	h.t.Helper()
	err := h.p.Detach(h.t.Context(), h.id, instance)
	for tries := 0; want == nil && errors.Is(err, provider.ErrBusy) && tries < 60; tries++ {
		time.Sleep(100 * time.Millisecond)
		err = h.p.Detach(h.t.Context(), h.id, instance)
	}
	h.wantErr("detach", err, want)
}

func (h *hands) wantErr(op string, err, want error) {
	h.t.Helper()
	if want == nil && err != nil || !errors.Is(err, want) {
		h.t.Fatalf("%s: %v; want %v", op, err, want)
	}
}

// want is the state and place that Get must say, such as "attached vm1".
func (h *hands) want(state string) nic.Seen {
	h.t.Helper()
	all, err := h.p.Get(h.t.Context(), h.id)
	if err != nil {
		h.t.Fatal(err)
	}
	seen, ok := all[h.id]
	got := "gone"
	if ok {
		got = strings.TrimSpace(string(seen.State) + " " + string(seen.Place.Instance))
	}
	if got != state {
		h.t.Fatalf("state %q (%s); want %q", got, seen.Reason, state)
	}
	return seen
}

func (h *hands) wantCards(name string, want ...string) {
	h.t.Helper()
	for i := range want {
		want[i] += " " + string(h.id) + " " + h.spec.MAC.String()
	}
	if got := h.cards(name); got != strings.Join(want, ", ") {
		h.t.Errorf("%s has %q; want %q", name, got, want)
	}
}

// remove takes the NIC away whatever its state, and demands that nothing of it
// is left.
func (h *hands) remove() {
	h.t.Helper()
	for range 200 {
		err := h.p.Delete(h.t.Context(), h.id)
		if errors.Is(err, provider.ErrNotFound) {
			break
		}
		if errors.Is(err, provider.ErrBusy) {
			all, err := h.p.Get(h.t.Context(), h.id)
			if err != nil {
				h.t.Fatal(err)
			}
			if err := h.p.Detach(h.t.Context(), h.id, all[h.id].Place.Instance); err != nil && !errors.Is(err, provider.ErrBusy) {
				h.t.Fatal(err)
			}
		} else if err != nil {
			h.t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	h.want("gone")
	h.ledger.WantEmpty(h.t, "deleted")
	all, err := h.p.List(h.t.Context())
	if err != nil || len(all) > 0 {
		h.t.Errorf("List: %v, %v", all, err)
	}
}
