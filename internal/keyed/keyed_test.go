package keyed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/keyed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a queue in the background until the test's end.
func start(t *testing.T, workers int, work keyed.Work) *keyed.Queue {
	t.Helper()
	q := keyed.New(keyed.Options{Work: work, Workers: workers, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { q.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return q
}

func TestManyWakesAreOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, running, most := 0, 0, 0
		q := start(t, 4, func(context.Context, string) (time.Duration, error) {
			running++ // unguarded on purpose: one key never runs twice at a time
			most = max(most, running)
			time.Sleep(time.Second)
			running--
			runs++
			return 0, nil
		})
		for range 100 {
			q.Wake("web")
		}
		time.Sleep(500 * time.Millisecond)
		for range 100 {
			q.Wake("web") // while it runs: once more afterwards
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if runs != 2 || most != 1 {
			t.Errorf("got %d runs, %d at a time; want 2 runs, 1 at a time", runs, most)
		}
	})
}

func TestKeysRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ended []time.Duration
		begin := time.Now()
		q := start(t, 2, func(context.Context, string) (time.Duration, error) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, time.Since(begin))
			return 0, nil
		})
		for _, key := range []string{"a", "b", "c"} {
			q.Wake(key)
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(ended) != 3 || ended[1] != time.Second || ended[2] != 2*time.Second {
			t.Errorf("runs ended after %v; want 1s 1s 2s with two workers", ended)
		}
	})
}

func TestLongestIsTheStuckOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		q := start(t, 2, func(_ context.Context, key string) (time.Duration, error) {
			if key == "stuck" {
				<-release
			}
			time.Sleep(time.Second)
			return 0, nil
		})
		check := func(wantKey string, wantAge time.Duration) {
			t.Helper()
			synctest.Wait()
			if key, age := q.Longest(); key != wantKey || age != wantAge {
				t.Errorf("got %q for %s, want %q for %s", key, age, wantKey, wantAge)
			}
		}
		check("", 0)
		q.Wake("stuck")
		time.Sleep(time.Minute)
		q.Wake("busy")
		check("stuck", time.Minute)
		close(release)
		time.Sleep(2 * time.Second)
		check("", 0)
	})
}

func TestErrorsAndPanicsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		begin := time.Now()
		q := start(t, 1, func(context.Context, string) (time.Duration, error) {
			at = append(at, time.Since(begin))
			switch len(at) {
			case 1:
				panic("bug")
			case 2, 3:
				return 0, errors.New("not yet")
			}
			return 0, nil
		})
		q.Wake("web")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(at) != 4 {
			t.Fatalf("got %d runs, want 4", len(at))
		}
		for i, most := range []time.Duration{100, 200, 400} {
			gap := at[i+1] - at[i]
			if gap < most*time.Millisecond/2 || gap > most*time.Millisecond {
				t.Errorf("wait %d was %v, want %d–%d ms", i+1, gap, most/2, most)
			}
		}
	})
}

func TestAgainComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		q := start(t, 1, func(context.Context, string) (time.Duration, error) {
			runs++
			if runs < 4 {
				return time.Minute, nil
			}
			return 0, nil
		})
		q.Wake("web")
		time.Sleep(time.Hour)
		synctest.Wait()
		if runs != 4 {
			t.Errorf("got %d runs, want 4", runs)
		}
	})
}

// A bridge that is missing all night must not fill the log.
func TestTheSameErrorIsToldSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		begin := time.Now()
		q := keyed.New(keyed.Options{
			Work: func(context.Context, string) (time.Duration, error) {
				if time.Since(begin) < 4*time.Minute {
					return 0, errors.New("no bridge")
				}
				return 0, errors.New("no uplink")
			},
			Workers: 1, Log: slog.New(slog.NewTextHandler(&out, nil)),
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { q.Run(ctx) })
		q.Wake("web")
		time.Sleep(13 * time.Minute)
		cancel()
		wg.Wait()
		if n := strings.Count(out.String(), "no bridge"); n != 1 {
			t.Errorf("told %d times within 4 minutes, want once", n)
		}
		if n := strings.Count(out.String(), "no uplink"); n != 2 {
			t.Errorf("told another error %d times within 9 minutes, want twice", n)
		}
	})
}

// Groups take turns: one's thousand keys are not before another's two.
func TestGroupsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		q := keyed.New(keyed.Options{
			Workers: 1, Log: slog.New(slog.DiscardHandler),
			Group: func(key string) string { return key[:1] },
			Work: func(_ context.Context, key string) (time.Duration, error) {
				order = append(order, key)
				return 0, nil
			},
		})
		for i := range 1000 {
			q.Wake(fmt.Sprintf("a%d", i))
		}
		q.Wake("b0")
		q.Wake("b1")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { q.Run(ctx) })
		synctest.Wait()
		cancel()
		wg.Wait()
		if want := []string{"a0", "b0", "a1", "b1", "a2", "a3"}; len(order) != 1002 || !slices.Equal(order[:len(want)], want) {
			t.Errorf("%d keys, in the order %v…", len(order), order[:min(len(order), 8)])
		}
	})
}
