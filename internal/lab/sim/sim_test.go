//go:build linux

package sim

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a run of a second or two.
func small() Options {
	o := Default(3)
	o.PerNode, o.Ramp, o.Steady, o.Faults = 10, 20*time.Minute, 30*time.Minute, 0.05
	return o
}

func played(t *testing.T, o Options) (res Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if res, err = play(t.Context(), o, io.Discard); err != nil {
			t.Fatal(err)
		}
	})
	return res
}

// The same seed has the same digest, and another seed another; whatever fails in the
// cloud, all containers get their NICs and nothing is left.
func TestTheSameSeedHasTheSameDigest(t *testing.T) {
	o := small()
	first, again := played(t, o), played(t, o)
	if len(first.Leaks) > 0 || first.Started != o.lives() || first.Removed != o.lives() {
		t.Errorf("%d of %d started, %d removed, left: %v", first.Started, o.lives(), first.Removed, first.Leaks)
	}
	failed := 0
	for _, c := range first.Calls {
		failed += c.Failed
	}
	if failed == 0 || first.Cold.Count == 0 || first.Warm.Count == 0 || first.Cold.P50 < createTakes+attachTakes {
		t.Errorf("%d calls failed, cold %+v, warm %+v", failed, first.Cold, first.Warm)
	}
	if first.Digest != again.Digest {
		t.Errorf("digests %s and %s of one seed", first.Digest, again.Digest)
	}
	o.Seed = 2
	if other := played(t, o); other.Digest == first.Digest {
		t.Errorf("digest %s of two seeds", other.Digest)
	}
}

// What the cloud has forgotten to delete is reported, and a controller starts with the
// records of the peak.
func TestAPlantedLeakIsReported(t *testing.T) {
	o := small()
	o.Plant, o.Dump = true, filepath.Join(t.TempDir(), "peak.db")
	res := played(t, o)
	if len(res.Leaks) == 0 || !strings.Contains(strings.Join(res.Leaks, "\n"), "is left in the cloud") {
		t.Errorf("it was planted, and reported is %v", res.Leaks)
	}
	started, err := Restart(t.Context(), o.Dump)
	if err != nil || started.Claims != o.Nodes*o.PerNode || started.Served == 0 || started.Store == 0 {
		t.Errorf("restarted: %+v, %v", started, err)
	}
	r := Report{Sizes: []Sized{{Result: res, Restarted: &started}}}
	if text := r.HTML(); len(r.Leaks()) == 0 || !strings.Contains(text, "<svg") || strings.Contains(text, "<script") || !strings.Contains(r.Markdown(), res.Digest) {
		t.Errorf("leaks %v, report\n%s", r.Leaks(), text)
	}
}

// Where the share of a node comes to less than one container, some nodes replace one.
func TestTheShareIsReplacedWhateverItIs(t *testing.T) {
	o := Options{Nodes: 10, PerNode: 2, Churn: 0.1}
	replaced := 0
	for n := range o.Nodes {
		replaced += o.replaced(n)
	}
	if replaced != 2 || o.lives() != 22 {
		t.Errorf("%d are replaced, %d in all; want 2 of 20", replaced, o.lives())
	}
}
