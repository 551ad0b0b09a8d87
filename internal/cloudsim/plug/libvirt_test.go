package plug

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// A host is a hypervisor with one machine, vm1, whose guest lets go of cards
// when it likes.
type host struct {
	mu     sync.Mutex
	has    []virt.Interface
	gone   bool
	asked  int
	errs   []error // of the next calls
	lets   func(asked int) bool
	events chan virt.Event
}

func (h *host) fails() error {
	if len(h.errs) == 0 {
		return nil
	}
	err := h.errs[0]
	h.errs = h.errs[1:]
	return err
}

func (h *host) Domain(_ context.Context, id string) (virt.Domain, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id != "vm1" || h.gone {
		return virt.Domain{}, virt.ErrNoDomain
	}
	return virt.Domain{Name: id, State: virt.Running, Live: slices.Clone(h.has), Stored: slices.Clone(h.has)}, h.fails()
}

func (h *host) Plug(_ context.Context, _ string, i virt.Interface) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.fails(); err != nil {
		return err
	}
	if !slices.Contains(h.has, i) {
		h.has = append(h.has, i)
	}
	return nil
}

func (h *host) Unplug(_ context.Context, _ string, i virt.Interface) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	if err := h.fails(); err != nil {
		return err
	}
	if h.lets(h.asked) {
		go h.letGo(i)
	}
	return nil
}

// letGo is what a guest does a moment after it was asked.
func (h *host) letGo(i virt.Interface) {
	time.Sleep(300 * time.Millisecond)
	h.mu.Lock()
	h.has = slices.DeleteFunc(h.has, func(o virt.Interface) bool { return o.Alias == i.Alias })
	h.mu.Unlock()
	h.events <- virt.Event{Kind: virt.DeviceRemoved, Alias: i.Alias}
}

func (h *host) Events() <-chan virt.Event { return h.events }

const instance = "i-0123456789abcdef0"

var mac = cloudsim.MAC{2, 0, 0, 0, 0, 1}

// begin starts a back-end in the bubble.
func begin(t *testing.T, h *host) *Libvirt {
	t.Helper()
	if h.events == nil {
		h.events = make(chan virt.Event, 16)
	}
	if h.lets == nil {
		h.lets = func(int) bool { return true }
	}
	l := NewLibvirt(LibvirtOptions{
		Hypervisor: h, Domains: map[string]string{instance: "vm1", "i-0ffffffffffffffff": "vm2"},
		Switch: nic.Port{Kind: nic.PortBridge, Name: "lan0", Model: nic.ModelVirtio},
	})
	t.Cleanup(l.Close)
	return l
}

func TestCardsGoInAndOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		l := begin(t, h)
		for range 2 {
			if err := l.Plug(t.Context(), instance, mac); err != nil {
				t.Fatal(err)
			}
		}
		want := virt.Interface{Alias: "ua-eni-020000000001", MAC: nic.MAC(mac), Port: l.opts.Switch}
		if !slices.Equal(h.has, []virt.Interface{want}) {
			t.Errorf("plugged in: %+v", h.has)
		}
		for range 2 {
			begin := time.Now()
			if err := l.Unplug(t.Context(), instance, mac); err != nil || len(h.has) != 0 {
				t.Errorf("unplugged: %v, %+v", err, h.has)
			}
			if took := time.Since(begin); took > 300*time.Millisecond {
				t.Errorf("it took %s: the event was not heard", took)
			}
		}
		if err := l.Plug(t.Context(), "i-00000000000000000", mac); err == nil {
			t.Error("an instance without a machine got a card")
		}
	})
}

// A libvirtd that is started again, and a guest that lets go at the third request
// only, cost time and nothing else.
func TestWhatPassesIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{errs: []error{virt.ErrUnreachable, virt.ErrInconclusive, virt.ErrBusy}, lets: func(asked int) bool { return asked > 3 }}
		l := begin(t, h)
		if err := l.Plug(t.Context(), instance, mac); err != nil || len(h.has) != 1 {
			t.Fatalf("%v, %+v", err, h.has)
		}
		h.errs = []error{virt.ErrUnreachable, nil, virt.ErrBusy}
		if err := l.Unplug(t.Context(), instance, mac); err != nil || len(h.has) != 0 || h.asked != 4 {
			t.Errorf("%v, %+v, asked %d times", err, h.has, h.asked)
		}
	})
}

func TestWhatDoesNotPassIsTold(t *testing.T) {
	for _, kind := range []error{virt.ErrNoSlot, virt.ErrNoDomain, virt.ErrInvalid, virt.ErrDenied} {
		synctest.Test(t, func(t *testing.T) {
			l := begin(t, &host{errs: []error{kind}})
			begin := time.Now()
			if err := l.Plug(t.Context(), instance, mac); !errors.Is(err, kind) || time.Since(begin) > 0 {
				t.Errorf("%v after %s, want %v at once", err, time.Since(begin), kind)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, &host{errs: slices.Repeat([]error{virt.ErrUnreachable}, 100)})
		begin := time.Now()
		if err := l.Plug(t.Context(), instance, mac); !errors.Is(err, virt.ErrUnreachable) || time.Since(begin) != plugTime {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// A guest that never lets go keeps the card until the machine is gone, or the
// cloud is.
func TestAGuestThatDoesNotLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{lets: func(int) bool { return false }}
		l := begin(t, h)
		if err := l.Plug(t.Context(), instance, mac); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := l.Unplug(ctx, instance, mac); !errors.Is(err, context.DeadlineExceeded) || h.asked < 100 {
			t.Errorf("%v, asked %d times", err, h.asked)
		}
		go func() {
			time.Sleep(time.Hour)
			h.mu.Lock()
			h.gone = true
			h.mu.Unlock()
			h.events <- virt.Event{Kind: virt.DomainChanged}
		}()
		if err := l.Unplug(t.Context(), instance, mac); err != nil {
			t.Errorf("the machine is gone: %v", err)
		}
	})
}

// What a cloud that ended has left goes, and nobody else's.
func TestClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := virt.Interface{Alias: "net0", MAC: nic.MAC{0x52, 0x54, 0, 0, 0, 9}}
		h := &host{has: []virt.Interface{other}}
		before := begin(t, h)
		for n := range byte(3) {
			if err := before.Plug(t.Context(), instance, cloudsim.MAC{2, 0, 0, 0, 0, n}); err != nil {
				t.Fatal(err)
			}
		}
		l := begin(t, h)
		for range 2 {
			if err := l.Clear(t.Context()); err != nil || !slices.Equal(h.has, []virt.Interface{other}) {
				t.Errorf("%v, left: %+v", err, h.has)
			}
		}
	})
}

func TestInstancesKeepTheirIDs(t *testing.T) {
	if got := InstanceID("vm1"); got != InstanceID("vm1") || got == InstanceID("vm2") || len(got) != len(instance) {
		t.Errorf("vm1 is %s, vm2 %s", got, InstanceID("vm2"))
	}
}
