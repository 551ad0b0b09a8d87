package libvirt_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
)

// How long a willing guest takes to let a card go, as measured on QEMU 10.
const (
	letsGoACPI   = 114 * time.Millisecond
	letsGoNative = 6335 * time.Millisecond
	// blinks is how long a guest with native hot-plug takes to power a card on;
	// it takes no request until then.
	blinks = 1500 * time.Millisecond
	// late is how long after a guest has let a card go it does so again, for a
	// request that it was told of twice.
	late = 400 * time.Millisecond
)

// A hyper is a hypervisor in memory that behaves as libvirt does: a plug is
// done when the call returns, an unplug when the guest has let go, which a
// frozen guest does when it wakes and a booting one forgets. One with native
// hot-plug takes no request while it powers the card on. One with ACPI is told
// of all open requests anew with each plug and unplug, and carries each out
// twice then; see domain.changed.
type hyper struct {
	mu      sync.Mutex
	domains []*domain
	events  chan virt.Event
	fail    map[string][]error // errors before the effect, by op, oldest first
	lose    map[string]int     // calls whose reply is lost
	hook    map[string]func()  // runs once, before the effect
	hung    map[string]bool    // domains, by UUID, that do not answer what would change them
	asked   []time.Time        // when guests were asked to let go
	born    int
}

type domain struct {
	virt.Domain
	ports   int
	booting bool // the guest takes no notice of requests
	leaving map[string]time.Time
	plugged map[string]time.Time
	twice   map[string]bool      // those leaving that the guest was told of again
	ejects  map[string]time.Time // late ones, by address
}

// changed tells the guest of all open requests again.
func (d *domain) changed() {
	for alias := range d.leaving {
		if d.Hotplug == virt.ACPI {
			d.twice[alias] = true
		}
	}
}

// The ops of a hyper.
const (
	opDomain, opDomains, opPlug, opUnplug = "domain", "domains", "plug", "unplug"
)

// newHyper returns running domains with so many root ports each, and one card
// of their own besides.
func newHyper(mode virt.HotplugMode, ports int, names ...string) *hyper {
	h := &hyper{events: make(chan virt.Event, 256), fail: map[string][]error{}, lose: map[string]int{}, hook: map[string]func(){}, hung: map[string]bool{}}
	for _, name := range names {
		h.define(name, mode, ports)
		h.start(name)
	}
	return h
}

func (h *hyper) Events() <-chan virt.Event { return h.events }

func (h *hyper) Domain(ctx context.Context, id string) (virt.Domain, error) {
	var d virt.Domain
	err := h.call(ctx, opDomain, func() error {
		found, err := h.find(id)
		if err == nil {
			d = found.copy()
		}
		return err
	})
	return d, err
}

func (h *hyper) Domains(ctx context.Context) ([]virt.Domain, error) {
	var all []virt.Domain
	err := h.call(ctx, opDomains, func() error {
		for _, d := range h.domains {
			all = append(all, d.copy())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (h *hyper) Plug(ctx context.Context, id string, i virt.Interface) error {
	if err := h.hang(ctx, id); err != nil {
		return err
	}
	return h.call(ctx, opPlug, func() error {
		d, err := h.find(id)
		if err != nil {
			return err
		}
		live, stored := card(d.Live, i), card(d.Stored, i)
		for _, c := range slices.Concat(d.Live, d.Stored) {
			if (c.Alias == i.Alias) != (c.MAC == i.MAC) {
				return fmt.Errorf("alias %s, MAC %s: %w", c.Alias, c.MAC, virt.ErrTaken)
			}
		}
		on := d.State != virt.Off
		if on && live < 0 && d.free() == 0 {
			return fmt.Errorf("no more available PCI slots: %w", virt.ErrNoSlot)
		}
		if i.Address != "" && slices.ContainsFunc(d.Live, func(c virt.Interface) bool { return c.Address == i.Address }) {
			return fmt.Errorf("double use of PCI address %s: %w", i.Address, virt.ErrTaken)
		}
		if on && live < 0 {
			plugged := i
			plugged.Address, plugged.Target = cmp.Or(i.Address, d.address(d.Live)), "vnet9"
			d.changed()
			d.Live = append(d.Live, plugged)
			d.plugged[i.Alias] = time.Now()
			h.tell(virt.Event{Kind: virt.DeviceAdded, UUID: d.UUID, Alias: i.Alias})
		}
		if stored < 0 && !d.Transient {
			i.Address = cmp.Or(i.Address, d.address(d.Stored))
			d.Stored = append(d.Stored, i)
		}
		return nil
	})
}

func (h *hyper) Unplug(ctx context.Context, id string, i virt.Interface) error {
	if err := h.hang(ctx, id); err != nil {
		return err
	}
	return h.call(ctx, opUnplug, func() error {
		d, err := h.find(id)
		if err != nil {
			return err
		}
		live, stored := card(d.Live, i), card(d.Stored, i)
		if live < 0 && stored < 0 {
			return virt.ErrNoInterface
		}
		if live >= 0 && i.Address != d.Live[live].Address {
			return fmt.Errorf("alias %s is at %s: %w", i.Alias, d.Live[live].Address, virt.ErrTaken)
		}
		if stored >= 0 {
			d.Stored = slices.Delete(d.Stored, stored, stored+1)
		}
		if live < 0 {
			return nil
		}
		h.asked = append(h.asked, time.Now())
		d.changed()
		if _, already := d.leaving[i.Alias]; already {
			return nil
		}
		if d.Hotplug == virt.Native && d.State == virt.Running && time.Since(d.plugged[i.Alias]) < blinks {
			return fmt.Errorf("guest is busy (power indicator blinking): %w", virt.ErrBusy)
		}
		if !d.booting {
			d.leaving[i.Alias] = time.Now().Add(letsGo(d.Hotplug))
		}
		return nil
	})
}

// hang waits for ctx's end if the domain hangs.
func (h *hyper) hang(ctx context.Context, uuid string) error {
	h.mu.Lock()
	hung := h.hung[uuid]
	h.mu.Unlock()
	if !hung {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("%w: no answer: %w", virt.ErrInconclusive, ctx.Err())
}

// call is one call of the provider's: ctx, planned trouble, what guests have
// done meanwhile, the effect.
func (h *hyper) call(ctx context.Context, op string, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	hook := h.hook[op]
	delete(h.hook, op)
	h.mu.Unlock()
	if hook != nil {
		hook()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pass()
	if errs := h.fail[op]; len(errs) > 0 {
		h.fail[op] = errs[1:]
		return errs[0]
	}
	err := effect()
	if h.lose[op] > 0 {
		h.lose[op]--
		return fmt.Errorf("%s: %w", op, virt.ErrInconclusive)
	}
	return err
}

// pass lets the guests do what was due.
func (h *hyper) pass() {
	for _, d := range h.domains {
		for alias, due := range d.leaving {
			if d.State != virt.Running || time.Now().Before(due) {
				continue
			}
			delete(d.leaving, alias)
			for _, c := range d.Live {
				if c.Alias == alias && d.twice[alias] {
					d.ejects[c.Address] = due.Add(late)
				}
			}
			delete(d.twice, alias)
			h.gone(d, func(c virt.Interface) bool { return c.Alias == alias })
		}
		for address, due := range d.ejects {
			if d.State == virt.Running && !time.Now().Before(due) {
				delete(d.ejects, address)
				h.gone(d, func(c virt.Interface) bool { return c.Address == address })
			}
		}
	}
}

// gone takes the card out of the running domain, and says so.
func (h *hyper) gone(d *domain, is func(virt.Interface) bool) {
	if at := slices.IndexFunc(d.Live, is); at >= 0 {
		h.tell(virt.Event{Kind: virt.DeviceRemoved, UUID: d.UUID, Alias: d.Live[at].Alias})
		d.Live = slices.Delete(d.Live, at, at+1)
	}
}

// tell loses the event if nobody has listened for long.
func (h *hyper) tell(e virt.Event) {
	select {
	case h.events <- e:
	default:
	}
}

func (h *hyper) find(id string) (*domain, error) {
	for _, d := range h.domains {
		if d.UUID == id {
			return d, nil
		}
	}
	for _, d := range h.domains {
		if d.Name == id {
			return d, nil
		}
	}
	return nil, fmt.Errorf("domain %q: %w", id, virt.ErrNoDomain)
}

func (d *domain) copy() virt.Domain {
	c := d.Domain
	c.Live, c.Stored = slices.Clone(d.Live), slices.Clone(d.Stored)
	c.Slots = virt.Slots{Total: d.ports, Free: d.free()}
	taken := slices.Concat(d.Live, d.Stored)
	for n := range d.ports {
		if a := address(n + 1); !slices.ContainsFunc(taken, func(c virt.Interface) bool { return c.Address == a }) {
			c.Ports = append(c.Ports, a)
		}
	}
	return c
}

func address(n int) string { return fmt.Sprintf("0000:%02x:00.0", n) }

func (d *domain) free() int {
	used := d.Live
	if d.State == virt.Off {
		used = d.Stored
	}
	return d.ports - len(used)
}

func letsGo(mode virt.HotplugMode) time.Duration {
	if mode == virt.Native {
		return letsGoNative
	}
	return letsGoACPI
}

func (d *domain) address(taken []virt.Interface) string {
	for n := 1; ; n++ {
		a := address(n)
		if !slices.ContainsFunc(taken, func(c virt.Interface) bool { return c.Address == a }) {
			return a
		}
	}
}

// card finds a card by its alias and MAC. The stored one may lie at another
// address.
func card(cards []virt.Interface, i virt.Interface) int {
	return slices.IndexFunc(cards, func(c virt.Interface) bool { return c.Alias == i.Alias && c.MAC == i.MAC })
}
