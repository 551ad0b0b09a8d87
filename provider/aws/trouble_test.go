package aws

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func TestWrongRegion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		_, err := w.with(func(o *Options) { o.Region = "us-east-1" }).List(t.Context())
		if !errors.Is(err, provider.ErrDenied) || !strings.Contains(err.Error(), "region") {
			t.Errorf("%v; want denied, and why", err)
		}
	})
}

// TestClockSkew: the SDK finds out from EC2's own clock that this one is wrong.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{})
				w.inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: nic.Duration(off)})
				w.live(id(1), func() {})
				w.clean(1)
			})
		})
	}
}

func TestExpiredCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.created(id(1))
		time.Sleep(48 * time.Hour)
		for verb, err := range map[string]error{
			"list":   func() error { _, err := w.List(t.Context()); return err }(),
			"delete": w.Delete(t.Context(), id(1)),
		} {
			if !errors.Is(err, provider.ErrDenied) {
				t.Errorf("%s: %v; want denied", verb, err)
			}
		}
	})
}

// TestDeniedNamesTheAction: whoever reads it knows what to allow.
func TestDeniedNamesTheAction(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	s.shows("available", "")
	s.say(apiAttachInterface, refusal(http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation."))
	_, err := p.Attach(t.Context(), testNIC, testPlace())
	if !errors.Is(err, provider.ErrDenied) || !strings.Contains(err.Error(), "ec2:AttachNetworkInterface") {
		t.Errorf("%v", err)
	}
}

// TestNoRegion: that is told at the start.
func TestNoRegion(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no region":  {Name: "cloud", Cluster: "cl-1"},
		"no cluster": {Name: "cloud", Region: "eu-central-1"},
		"no name":    {Cluster: "cl-1", Region: "eu-central-1"},
		"no profile": {Name: "cloud", Cluster: "cl-1", Region: "eu-central-1", Profile: "nobody"},
	} {
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(name, "no ")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSlowAnswers: a call ends with its context, and without one before worstCall
// for each thing it does.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.inject(cloudsim.Fault{Verb: cloudsim.Slow, Count: -1, Delay: nic.Duration(time.Hour)})
		for verb, call := range map[string]func(context.Context) error{
			"create": func(ctx context.Context) error { _, err := w.Create(ctx, w.spec(id(1))); return err },
			"list":   func(ctx context.Context) error { _, err := w.List(ctx); return err },
			"limits": func(ctx context.Context) error { _, err := w.Limits(ctx, w.instances[0]); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			begin := time.Now()
			err := call(ctx)
			cancel()
			if !errors.Is(err, provider.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
				t.Errorf("%s: %v after %s", verb, err, time.Since(begin))
			}
			begin = time.Now()
			if err := call(t.Context()); !errors.Is(err, provider.ErrUnknown) || time.Since(begin) > worstCall+attemptTime*attempts {
				t.Errorf("%s: %v after %s", verb, err, time.Since(begin))
			}
		}
		time.Sleep(time.Hour) // the cloud lets go of them
	})
}
