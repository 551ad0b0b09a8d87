package cloudsim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A bench is machines that cards are plugged into, slowly.
type bench struct {
	mu      sync.Mutex
	in      map[string]string // instances by MAC
	done    []string
	plug    time.Duration
	unplug  time.Duration
	broken  error // of Plug
	refuses int   // Unplugs that fail
}

func (b *bench) Plug(ctx context.Context, instance string, mac cloudsim.MAC) error {
	return b.do(ctx, b.plug, "plug", func() error {
		if b.broken != nil {
			return b.broken
		}
		b.in[mac.String()] = instance
		return nil
	})
}

func (b *bench) Unplug(ctx context.Context, _ string, mac cloudsim.MAC) error {
	return b.do(ctx, b.unplug, "unplug", func() error {
		if b.refuses > 0 {
			b.refuses--
			return errors.New("the guest is busy")
		}
		delete(b.in, mac.String())
		return nil
	})
}

func (b *bench) do(ctx context.Context, d time.Duration, what string, do func() error) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err := do()
	b.done = append(b.done, fmt.Sprint(what, " ", err))
	return err
}

func (b *bench) has(mac cloudsim.MAC) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.in[mac.String()]
}

// Attached is when both the cloud's time is over and the card is in.
func TestCardsArePluggedIn(t *testing.T) {
	for name, c := range map[string]struct {
		plug, unplug       time.Duration
		attached, detached time.Duration
	}{
		"quickly": {time.Second, time.Second, 5 * time.Second, 10 * time.Second},
		"slowly":  {8 * time.Second, 30 * time.Second, 8 * time.Second, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{in: map[string]string{}, plug: c.plug, unplug: c.unplug}
				w := newWorld(t, cloudsim.Options{Latency: fixed, Plugger: b})
				e := w.ready(cloudsim.CreateInterface{})
				start := time.Now()
				until := func(state string) time.Duration {
					for w.state(e.ID) != state && time.Since(start) < time.Hour {
						time.Sleep(100 * time.Millisecond)
						synctest.Wait()
					}
					return time.Since(start)
				}
				a := w.attach(e.ID, 1)
				if d := until("in-use/attached"); d != c.attached || b.has(e.MAC) != w.node.ID {
					t.Errorf("attached after %v, in %q", d, b.has(e.MAC))
				}
				start = time.Now()
				must(0, w.detach(a.ID, false))(t)
				if d := until("available"); d != c.detached || b.has(e.MAC) != "" {
					t.Errorf("detached after %v, in %q", d, b.has(e.MAC))
				}
			})
		})
	}
}

func TestCardsThatDoNotGoInOrOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{in: map[string]string{}, broken: errors.New("no slot")}
		w := newWorld(t, cloudsim.Options{Latency: fixed, Plugger: b})
		e := w.ready(cloudsim.CreateInterface{})
		w.attach(e.ID, 1)
		synctest.Wait()
		if got := w.state(e.ID); got != "available" {
			t.Errorf("not plugged in, it is %s", got)
		}
		log := w.Log(0)
		if !slices.ContainsFunc(log, func(l cloudsim.Entry) bool { return l.Event == "plug-failed" && l.Instance == w.node.ID }) {
			t.Error("the log does not tell that it was not plugged in")
		}
		b.broken, b.refuses = nil, 3
		a := w.attach(e.ID, 1)
		time.Sleep(fixed.Attach.Min)
		must(0, w.detach(a.ID, false))(t)
		time.Sleep(time.Minute)
		if got := w.state(e.ID); got != "available" || b.has(e.MAC) != "" {
			t.Errorf("refused three times, it is %s and in %q", got, b.has(e.MAC))
		}
		w.inject(cloudsim.Fault{Verb: cloudsim.AttachedButNoNIC})
		w.attach(e.ID, 1)
		time.Sleep(fixed.Attach.Min)
		if got := w.state(e.ID); got != "in-use/attached" || b.has(e.MAC) != "" {
			t.Errorf("F09: it is %s, and in %q", got, b.has(e.MAC))
		}
	})
}

// A machine that ends takes its cards along, also one that is just going in.
func TestCardsOfAnInstanceThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{in: map[string]string{}, plug: 30 * time.Second, unplug: time.Second}
		w := newWorld(t, cloudsim.Options{Latency: fixed, Plugger: b})
		e := w.ready(cloudsim.CreateInterface{})
		w.attach(e.ID, 1)
		time.Sleep(time.Second)
		must(w.TerminateInstances(t.Context(), w.call, w.node.ID))(t)
		time.Sleep(fixed.Stop.Min)
		w.Log(0) // it is taken out from now on, while it is still going in
		time.Sleep(2 * time.Minute)
		if got := w.state(e.ID); got != "available" {
			t.Errorf("it is %s", got)
		}
		time.Sleep(time.Minute)
		if b.has(e.MAC) != "" {
			t.Errorf("it is still in %s: %v", b.has(e.MAC), b.done)
		}
	})
}
