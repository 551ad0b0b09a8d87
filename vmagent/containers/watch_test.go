//go:build linux

package containers

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func id(n int) string { return fmt.Sprintf("%064x", n+1) }

func openFake(t *testing.T, f *fake, opts Options) *Engine {
	t.Helper()
	opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	e, err := open(t.Context(), f, opts.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// An observer is what an agent does at its simplest: it keeps what it saw last
// of each container.
type observer struct {
	t      *testing.T
	engine *Engine

	mu      sync.Mutex
	seen    map[string]Container
	wakes   int
	resyncs int
	slow    time.Duration // what the first wake takes
}

func (o *observer) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.engine.Watch(ctx, o.wake, o.resync)
	}()
	return func() { cancel(); <-done }
}

func (o *observer) wake(id string) {
	c, err := o.engine.Get(context.Background(), id)
	if err != nil {
		return // the next resync will tell
	}
	o.mu.Lock()
	o.seen[id] = c
	o.wakes++
	slow := o.slow
	o.slow = 0
	o.mu.Unlock()
	time.Sleep(slow)
}

func (o *observer) resync() {
	all, err := o.engine.List(context.Background())
	if err != nil {
		o.t.Errorf("list: %v", err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resyncs++
	clear(o.seen)
	for _, c := range all {
		o.seen[c.ID] = c
	}
}

func (o *observer) assertKnows(f *fake) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(f.containers, o.seen); diff != "" {
		o.t.Errorf("what the engine has (-) and what was seen (+):\n%s", diff)
	}
}

func newObserver(t *testing.T, f *fake, opts Options) *observer {
	return &observer{t: t, engine: openFake(t, f, opts), seen: map[string]Container{}}
}

func TestWatchSubscribesBeforeItAsksForAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.set(Container{ID: id(0)})
		e := openFake(t, f, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		woken := ""
		e.Watch(ctx, func(id string) { woken = id; cancel() }, func() {
			f.set(Container{ID: id(1)}) // happens while the list is made
		})
		if woken != id(1) {
			t.Errorf("woken for %q, want %q", woken, id(1))
		}
	})
}

// F43: the consumer stalls for 40 s while 6,000 events pass. The engine must
// not be held up, or it drops events.
func TestF43_StalledConsumerLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := newObserver(t, f, Options{Resync: time.Hour})
		o.slow = 40 * time.Second
		stop := o.watch(t.Context())
		defer stop()
		synctest.Wait()
		begin := time.Now()
		for n := range 6000 {
			f.set(Container{ID: id(n % 300), Name: fmt.Sprint("start ", n)})
			if n%subscriberRoom == 0 {
				synctest.Wait() // the scheduler's share for the reader
			}
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("the engine was held up for %s", took)
		}
		time.Sleep(41 * time.Second)
		synctest.Wait()
		if f.dropped != 0 {
			t.Errorf("%d events were dropped", f.dropped)
		}
		if o.wakes > 900 || o.resyncs != 1 {
			t.Errorf("%d wakes and %d resyncs, want each of 300 containers few times and one list", o.wakes, o.resyncs)
		}
		o.assertKnows(f)
	})
}

func TestF43_LostEventsAreMadeUpByTheNextResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := newObserver(t, f, Options{Resync: 30 * time.Second})
		stop := o.watch(t.Context())
		defer stop()
		synctest.Wait()
		f.mute = true
		for n := range 50 {
			f.set(Container{ID: id(n), Running: true})
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		o.assertKnows(f)
		if o.wakes != 0 || o.resyncs != 2 {
			t.Errorf("%d wakes, %d resyncs; want none and 2", o.wakes, o.resyncs)
		}
	})
}

func TestMoreContainersThanRoomIsOneResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWakes()
		for n := range 2 * maxWakes {
			w.add(id(n))
		}
		w.add(id(0))
		wakes, resyncs := 0, 0
		w.deliver(func(string) { wakes++ }, func() { resyncs++ })
		w.deliver(func(string) { wakes++ }, func() { resyncs++ })
		if wakes != 0 || resyncs != 1 || len(w.ids) != 0 {
			t.Errorf("%d wakes, %d resyncs, %d left", wakes, resyncs, len(w.ids))
		}
	})
}

// An id is the only thing taken from an event, and it is not believed either.
func TestWhatIsNoIDIsOneResync(t *testing.T) {
	for _, bad := range []string{"", "../../version", "ABCDEF", id(0) + "0", "12\x1b[2J"} {
		w := newWakes()
		w.add(id(0))
		w.add(bad)
		var woken []string
		resyncs := 0
		w.deliver(func(id string) { woken = append(woken, id) }, func() { resyncs++ })
		if len(woken) != 0 || resyncs != 1 {
			t.Errorf("%q: woken %q, %d resyncs; want one resync", bad, woken, resyncs)
		}
	}
}

// F44: the engine goes away and comes back; meanwhile it changed.
func TestF44_StreamCutIsSubscribedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.set(Container{ID: id(0), Running: true})
		o := newObserver(t, f, Options{Resync: time.Hour})
		stop := o.watch(t.Context())
		defer stop()
		synctest.Wait()
		f.leave()
		time.Sleep(time.Minute)
		synctest.Wait()
		if o.resyncs != 1 || len(o.seen) != 1 {
			t.Errorf("while the engine was away: %d resyncs, %d containers known; want nothing to change", o.resyncs, len(o.seen))
		}
		f.comeBack()
		f.set(Container{ID: id(0)})
		f.set(Container{ID: id(1), Running: true})
		time.Sleep(lastRetry)
		synctest.Wait()
		o.assertKnows(f)
		if f.subscribed != 2 || o.resyncs != 2 {
			t.Errorf("%d subscriptions, %d resyncs; want 2 of each", f.subscribed, o.resyncs)
		}
		f.set(Container{ID: id(2)})
		synctest.Wait()
		o.assertKnows(f)
	})
}

func TestSubscriptionWithoutAnAnswerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hang = true
		o := newObserver(t, f, Options{Timeout: 10 * time.Second, Resync: time.Hour})
		stop := o.watch(t.Context())
		defer stop()
		time.Sleep(5 * time.Second)
		f.mu.Lock()
		f.hang = false
		f.mu.Unlock()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if f.subscribed != 1 || o.resyncs != 1 {
			t.Errorf("%d subscriptions, %d resyncs; want one of each", f.subscribed, o.resyncs)
		}
	})
}

// F45: whatever the order of events, what is known in the end is what is.
func TestF45_OrderOfEventsDoesNotMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := newObserver(t, f, Options{Resync: time.Hour})
		stop := o.watch(t.Context())
		defer stop()
		synctest.Wait()
		var late []string
		f.mute = true
		for n := range 200 {
			c := Container{ID: id(n % 20), PID: n, Running: n%3 > 0}
			f.set(c)
			late = append(late, c.ID)
		}
		f.mute = false
		rand.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
		for _, id := range late {
			f.emit(id)
		}
		synctest.Wait()
		o.assertKnows(f)
		if o.resyncs != 1 {
			t.Errorf("%d resyncs, want the first only", o.resyncs)
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	for name, prepare := range map[string]func(*fake){
		"while following": func(*fake) {},
		"while hanging":   func(f *fake) { f.hang = true },
		"while waiting":   (*fake).leave,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				o := newObserver(t, f, Options{})
				prepare(f)
				stop := o.watch(t.Context())
				time.Sleep(150 * time.Millisecond)
				begin := time.Now()
				stop()
				if took := time.Since(begin); took > 0 {
					t.Errorf("took %s to end", took)
				}
				if len(f.streams) != 0 {
					t.Errorf("%d streams left open", len(f.streams))
				}
			})
		})
	}
}
