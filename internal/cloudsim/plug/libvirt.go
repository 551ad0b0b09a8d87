package plug

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// AliasPrefix begins the alias of each card that a cloud has plugged into a
// domain; its MAC follows.
const AliasPrefix = "ua-eni-"

// InstanceID is the instance that stands for the machine of that name. It is the
// same each time that a cloud is started.
func InstanceID(machine string) string {
	sum := sha256.Sum256([]byte(machine))
	return fmt.Sprintf("i-0%x", sum[:8])
}

// A Hypervisor is what Libvirt needs of internal/virt, whose errors it speaks in.
type Hypervisor interface {
	Domain(ctx context.Context, id string) (virt.Domain, error)
	Plug(ctx context.Context, domain string, i virt.Interface) error
	Unplug(ctx context.Context, domain string, i virt.Interface) error
	Events() <-chan virt.Event
}

// LibvirtOptions are the parts of a Libvirt.
type LibvirtOptions struct {
	// Hypervisor has the domains; required. Nobody else may read its events.
	Hypervisor Hypervisor
	// Domains are the names or UUIDs of the machines by instance; required.
	Domains map[string]string
	// Switch is what all cards are plugged into, whatever their subnet; required.
	Switch nic.Port
	// Log is told of guests that do not let go; optional.
	Log *slog.Logger
	// Namespace is the path of the network namespace that the switch is in; default is
	// this program's.
	Namespace string
}

// The times of a Libvirt.
const (
	callTime  = 20 * time.Second // for one call of the hypervisor
	plugTime  = time.Minute      // for what keeps a card from being plugged in to pass
	askAgain  = 2 * time.Second  // after which a guest is asked once more to let go
	tellAgain = time.Minute      // after which it is told once more that it does not
)

// A Libvirt plugs a cloud's interfaces into libvirt's domains. What is plugged in
// is what the domains say: it keeps nothing itself.
type Libvirt struct {
	opts LibvirtOptions
	stop chan struct{}
	done sync.WaitGroup

	mu sync.Mutex
	// changed is closed, and replaced, at each event.
	changed chan struct{}
}

var _ cloudsim.Plugger = (*Libvirt)(nil)

// NewLibvirt returns a back-end for cloudsim.Options, which is the caller's to
// Close. The cloud is closed before.
func NewLibvirt(o LibvirtOptions) *Libvirt {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Libvirt{opts: o, stop: make(chan struct{}), changed: make(chan struct{})}
	l.done.Go(l.listen)
	return l
}

// Close ends its listening to events. It leaves what is plugged in; see Clear.
func (l *Libvirt) Close() {
	close(l.stop)
	l.done.Wait()
}

// listen wakes whoever waits at each event.
func (l *Libvirt) listen() {
	for {
		select {
		case _, ok := <-l.opts.Hypervisor.Events():
			if !ok {
				return
			}
		case <-l.stop:
			return
		}
		l.mu.Lock()
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
	}
}

// next is closed at the next event. It is asked for before a look, so that no
// event between the look and the wait is missed.
func (l *Libvirt) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Plug implements cloudsim.Plugger. What passes, such as a libvirtd that is being
// started again, is waited for.
func (l *Libvirt) Plug(ctx context.Context, instance string, mac cloudsim.MAC) error {
	domain, card, err := l.card(instance, mac)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, plugTime)
	defer cancel()
	for {
		changed := l.next()
		err := l.call(ctx, func(ctx context.Context) error { return l.opts.Hypervisor.Plug(ctx, domain, card) })
		if err == nil {
			return nil
		}
		if !passes(err) || !wait(ctx, changed) {
			return fmt.Errorf("instance %s: %w", instance, err)
		}
	}
}

// Unplug implements cloudsim.Plugger. It returns when neither the running machine
// nor its stored definition has the card; a guest that does not let go is asked
// again and again, without an end but ctx's.
func (l *Libvirt) Unplug(ctx context.Context, instance string, mac cloudsim.MAC) error {
	domain, card, err := l.card(instance, mac)
	if err != nil {
		return err
	}
	var asked time.Time
	told := time.Now()
	for {
		changed := l.next()
		has, err := l.has(ctx, domain, card)
		if err == nil && !has {
			return nil
		}
		if err == nil && time.Since(asked) >= askAgain {
			asked = time.Now()
			err = l.call(ctx, func(ctx context.Context) error { return l.opts.Hypervisor.Unplug(ctx, domain, card) })
			if err == nil || errors.Is(err, virt.ErrNoInterface) {
				continue // it may be gone already
			}
		}
		if err != nil && !passes(err) {
			return fmt.Errorf("instance %s: %w", instance, err)
		}
		if time.Since(told) > tellAgain {
			told = time.Now()
			l.opts.Log.Warn("the guest does not let the card go, and is asked again and again", "instance", instance, "domain", domain, "mac", card.MAC.String(), "error", err)
		}
		if !wait(ctx, changed) {
			return fmt.Errorf("instance %s: card %s is still in domain %s: %w", instance, card.MAC, domain, ctx.Err())
		}
	}
}

// Clear takes all cards out of the domains that a cloud plugged in, this one or
// one before it: a cloud in memory forgets them when it ends. Machines that are
// not there have none.
func (l *Libvirt) Clear(ctx context.Context) error {
	var errs []error
	for instance, domain := range l.opts.Domains {
		cards, err := l.ours(ctx, domain)
		for mac := range cards {
			err = errors.Join(err, l.Unplug(ctx, instance, mac))
		}
		errs = append(errs, err, l.clearMembers(instance))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take out what a cloud has plugged in: %w", err)
	}
	return nil
}

// ours are the cards that a cloud plugged into the domain.
func (l *Libvirt) ours(ctx context.Context, domain string) (map[cloudsim.MAC]bool, error) {
	d, err := l.look(ctx, domain)
	found := map[cloudsim.MAC]bool{}
	for _, cards := range [][]virt.Interface{d.Live, d.Stored} {
		for _, i := range cards {
			if strings.HasPrefix(i.Alias, AliasPrefix) {
				found[cloudsim.MAC(i.MAC)] = true
			}
		}
	}
	return found, err
}

// card is the interface as the instance's domain has it.
func (l *Libvirt) card(instance string, mac cloudsim.MAC) (domain string, card virt.Interface, err error) {
	domain, ok := l.opts.Domains[instance]
	if !ok {
		return "", card, fmt.Errorf("instance %s stands for no machine of the lab", instance)
	}
	alias := AliasPrefix + strings.ReplaceAll(mac.String(), ":", "")
	return domain, virt.Interface{Alias: alias, MAC: nic.MAC(mac), Port: l.opts.Switch}, nil
}

// has says whether the domain has the card, running or stored.
func (l *Libvirt) has(ctx context.Context, domain string, card virt.Interface) (bool, error) {
	d, err := l.look(ctx, domain)
	for _, cards := range [][]virt.Interface{d.Live, d.Stored} {
		for _, i := range cards {
			if i.Alias == card.Alias {
				return true, err
			}
		}
	}
	return false, err
}

// look is the domain as it is; one that is not there has nothing.
func (l *Libvirt) look(ctx context.Context, domain string) (d virt.Domain, err error) {
	err = l.call(ctx, func(ctx context.Context) error {
		d, err = l.opts.Hypervisor.Domain(ctx, domain)
		return err
	})
	if errors.Is(err, virt.ErrNoDomain) {
		return virt.Domain{}, nil
	}
	return d, err
}

// call bounds one call.
func (l *Libvirt) call(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return do(ctx)
}

// passes says of an error that the same call may work later.
func passes(err error) bool {
	for _, kind := range []error{virt.ErrUnreachable, virt.ErrBusy, virt.ErrInconclusive, virt.ErrTaken} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// wait returns at the next event, or after a while without one; false is ctx's end.
func wait(ctx context.Context, changed <-chan struct{}) bool {
	timer := time.NewTimer(askAgain)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
