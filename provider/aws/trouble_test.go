package aws

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni/enitest"
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
				w.Inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: nic.Duration(off)})
				w.Live(enitest.ID(1), func() {})
				w.Clean(1)
			})
		})
	}
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
