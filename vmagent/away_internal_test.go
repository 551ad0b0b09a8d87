package vmagent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/keyed"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
	"github.com/nicferry/nicferry/vmagent/device"
)

// A far controller can be away, and notes when it is asked.
type far struct {
	Controller // nothing but what is below is asked

	mu      sync.Mutex
	away    bool
	hellos  []time.Time
	wanted  []nic.Wanted
	reports []nic.NodeReport
}

var errAway = errors.New("controller does not answer")

func (f *far) Hello(context.Context, string, nic.Inventory) (nic.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hellos = append(f.hellos, time.Now())
	if f.away {
		return nic.Node{}, errAway
	}
	return nic.Node{Name: "n1", Session: uint64(len(f.hellos))}, nil
}

func (f *far) Wanted(context.Context, string, uint64) ([]nic.Wanted, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, 0, errAway
	}
	return f.wanted, 7, nil
}

func (f *far) Report(_ context.Context, _ string, r nic.NodeReport) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return errAway
	}
	f.reports = append(f.reports, r)
	return nil
}

func (f *far) Watch(ctx context.Context, _ string, _ uint64, _ func(uint64)) error {
	<-ctx.Done()
	return ctx.Err()
}

// bare is an engine without containers.
type bare struct{ Engine }

func (bare) List(context.Context) ([]containers.Container, error) { return nil, nil }

func (bare) Get(context.Context, string) (containers.Container, error) {
	return containers.Container{}, containers.ErrNotFound
}

// An agent that starts without a controller goes by what its cache holds, and
// knocks now and then. After an hour it converges: what is wanted by then
// replaces the cache, and what it has done meanwhile is told, once.
func TestS4_AnHourWithoutAController(t *testing.T) {
	maker, err := device.New(netnstest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer maker.Close()
	synctest.Test(t, func(t *testing.T) {
		f := &far{away: true}
		opts := Options{
			Orders: noOrders{},
			Node:   "n1", Controller: f, Engine: bare{}, RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
			Superseded: func(error) bool { return false }, Refused: func(error) bool { return false }, Observer: blind{},
		}
		a := &Agent{
			opts: opts, maker: maker, wishes: newWishes(), report: newReporter(opts), stale: newStaleness(),
			censuses: newCensuses(), cache: cache{dir: opts.RunDir},
			queue: keyed.New(keyed.Options{Work: func(context.Context, string) (time.Duration, error) { return 0, nil }, Log: opts.Log}),
		}
		a.report.stale = func() {}
		held := nic.Wanted{NIC: "nic-1", Claim: "clm-1", Owner: nic.Owner{Node: "n1", Sandbox: "c1", Interface: "eth0"}}
		a.wishes.replace([]nic.Wanted{held}) // as New does with the cache
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.followController(ctx) }()
		time.Sleep(30 * time.Minute)
		a.report.say(nic.Observed{NIC: "nic-1", Claim: "clm-1", State: nic.ObservedIn}) // put in again, after a restart say
		time.Sleep(30 * time.Minute)
		f.mu.Lock()
		pauses := map[time.Duration]bool{}
		for i := range f.hellos[1:] {
			pauses[f.hellos[i+1].Sub(f.hellos[i])] = true
		}
		// Five to ten seconds apart, once it has grown.
		if n := len(f.hellos); n < 360 || n > 730 || len(pauses) < n/2 {
			t.Errorf("knocked %d times in an hour, at %d different distances", n, len(pauses))
		}
		f.mu.Unlock()
		if got := a.wishes.of("c1"); len(got) != 1 || got[0].NIC != "nic-1" {
			t.Errorf("after an hour it wishes %v", got)
		}

		f.mu.Lock()
		f.away, f.wanted = false, []nic.Wanted{held, {NIC: "nic-2", Claim: "clm-2", Owner: nic.Owner{Node: "n1", Sandbox: "c2", Interface: "eth0"}}}
		f.mu.Unlock()
		back := time.Now()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		f.mu.Lock()
		if last := f.hellos[len(f.hellos)-1]; last.Before(back) {
			t.Errorf("the last knock was %s before it came back", back.Sub(last))
		}
		var told []nic.Observed
		for _, r := range f.reports {
			told = append(told, r.NICs...)
		}
		if len(told) != 1 || told[0].NIC != "nic-1" {
			t.Errorf("told %v, want what was done meanwhile, once", told)
		}
		f.mu.Unlock()
		if len(a.wishes.of("c2")) != 1 {
			t.Errorf("it wishes %v", a.wishes.all())
		}
		if _, err := os.Stat(filepath.Join(opts.RunDir, "wanted.json")); err != nil {
			t.Errorf("the cache: %v", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}
