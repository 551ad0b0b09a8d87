package enitest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// ExpiredCredentials: that is what is told of keys that have ended.
func ExpiredCredentials(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Created(ID(1))
		time.Sleep(48 * time.Hour)
		for verb, err := range map[string]error{
			"list":   func() error { _, err := w.List(t.Context()); return err }(),
			"delete": w.Provider.Delete(t.Context(), ID(1)),
		} {
			if !errors.Is(err, provider.ErrDenied) {
				t.Errorf("%s: %v; want denied", verb, err)
			}
		}
	})
}

// SlowAnswers: a call ends with its context, and without one before worstCall
// for each thing it does.
func SlowAnswers(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Inject(cloudsim.Fault{Verb: cloudsim.Slow, Count: -1, Delay: nic.Duration(time.Hour)})
		for verb, call := range map[string]func(context.Context) error{
			"create": func(ctx context.Context) error { _, err := w.Provider.Create(ctx, w.Spec(ID(1))); return err },
			"list":   func(ctx context.Context) error { _, err := w.List(ctx); return err },
			"limits": func(ctx context.Context) error { _, err := w.Limits(ctx, w.VMs[0]); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			begin := time.Now()
			err := call(ctx)
			cancel()
			if !errors.Is(err, provider.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
				t.Errorf("%s: %v after %s", verb, err, time.Since(begin))
			}
			begin = time.Now()
			if err := call(t.Context()); !errors.Is(err, provider.ErrUnknown) || time.Since(begin) > 2*w.Info().WorstCall {
				t.Errorf("%s: %v after %s", verb, err, time.Since(begin))
			}
		}
		time.Sleep(time.Hour) // the cloud lets go of them
	})
}
