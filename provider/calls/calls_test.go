package calls

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/provider"
)

func admitted(context.Context) error { return nil }

// What many ask for goes in few calls, each of no more keys than it takes, and no
// answer is older than its question.
func TestBatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var batches [][]int
		b := NewBatcher(3, time.Minute, admitted, func(_ context.Context, keys []int) (map[int]time.Time, error) {
			mu.Lock()
			batches = append(batches, slices.Sorted(slices.Values(keys)))
			mu.Unlock()
			asked := time.Now()
			time.Sleep(time.Second)
			got := map[int]time.Time{}
			for _, k := range keys {
				if k != 7 { // there is none
					got[k] = asked
				}
			}
			return got, nil
		})
		var wg sync.WaitGroup
		ask := func(after time.Duration, keys ...int) {
			wg.Go(func() {
				time.Sleep(after)
				asked := time.Now()
				got, err := b.Ask(t.Context(), keys...)
				for k, at := range got {
					if !slices.Contains(keys, k) || at.Before(asked) {
						t.Errorf("asked at %s for %v: got %d of %s", asked, keys, k, at)
					}
				}
				if err != nil || len(got) != len(slices.DeleteFunc(slices.Clone(keys), func(k int) bool { return k == 7 })) {
					t.Errorf("asked for %v: got %v, %v", keys, got, err)
				}
			})
		}
		ask(0, 1, 7)
		ask(time.Millisecond, 1, 2)
		ask(500*time.Millisecond, 1, 3, 4)
		ask(600*time.Millisecond, 5)
		wg.Wait()
		if len(batches) != 3 || !slices.Equal(batches[0], []int{1, 2, 7}) || len(batches[1])+len(batches[2]) != 4 {
			t.Errorf("asked in %v", batches)
		}
	})
}

// Whoever asks no longer waits for nothing; the others have their answer.
func TestBatcherLosesAnAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBatcher(3, time.Minute, admitted, func(ctx context.Context, keys []int) (map[int]int, error) {
			time.Sleep(time.Second)
			return maps.Collect(slices.All(keys)), ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		lost := make(chan error, 1)
		go func() {
			_, err := b.Ask(ctx, 0)
			lost <- err
		}()
		time.Sleep(time.Millisecond)
		if _, err := b.Ask(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if err := <-lost; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("whose time was over: %v", err)
		}
	})
}

func TestBatcherIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		b := NewBatcher(3, time.Minute, func(context.Context) error { return broken }, func(context.Context, []int) (map[int]int, error) {
			t.Error("asked all the same")
			return nil, nil
		})
		if _, err := b.Ask(t.Context(), 1); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if got, err := b.Ask(t.Context()); len(got) != 0 || err != nil {
			t.Errorf("asked for nothing: %v, %v", got, err)
		}
	})
}

// An action rests longer each time it is throttled, and no longer once it has passed.
func TestPaceRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewPace("the cloud", func(string) provider.Rate { return provider.Rate{Burst: 100, PerSecond: 10} }, 1)
		first := c.Throttled("Attach")
		if again := c.Throttled("Attach"); again != first {
			t.Errorf("two that were out together rest %s and %s", first, again)
		}
		time.Sleep(first)
		second := c.Throttled("Attach")
		if second <= first {
			t.Errorf("rests %s, then %s", first, second)
		}
		time.Sleep(second)
		c.Throttled("Attach")
		err := c.Take(t.Context(), "Attach")
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrThrottled || e.RetryAfter <= Patience {
			t.Errorf("with a long rest ahead: %v", err)
		}
		if err := c.Take(t.Context(), "Detach"); err != nil {
			t.Errorf("another action: %v", err)
		}
		time.Sleep(time.Minute)
		c.Passed("Attach")
		if rest := c.Throttled("Attach"); rest > firstRest { // each is drawn
			t.Errorf("rests %s after it had passed, and %s at first", rest, first)
		}
	})
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache[string, int](time.Minute)
		c.Put("a", 1)
		c.Keep("b", 2, time.Second)
		c.Put("c", 3)
		c.Drop("c")
		time.Sleep(2 * time.Second)
		for key, want := range map[string]bool{"a": true, "b": false, "c": false} {
			if _, ok := c.Get(key); ok != want {
				t.Errorf("%s is kept: %t", key, ok)
			}
		}
		time.Sleep(time.Minute)
		if _, ok := c.Get("a"); ok {
			t.Error("a is kept for ever")
		}
	})
}
