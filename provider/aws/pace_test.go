package aws

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/provider"
)

// Who has been granted more calls makes more at once and is paced by that, here and in
// what the allocator is told; what nothing is said of is what EC2 allows unasked.
func TestCallsGranted(t *testing.T) {
	for calls, want := range map[int]provider.Rate{0: {Burst: 100, PerSecond: 5}, 1: {Burst: 100, PerSecond: 5}, 3: {Burst: 300, PerSecond: 15}} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, cloudsim.Options{})
			o := w.options()
			o.Calls = calls
			p, err := New(t.Context(), o)
			w.Must(err)
			if got := p.Info().Rates.Create; got != want {
				t.Errorf("calls %d: rate %+v, want %+v", calls, got, want)
			}
			begin := time.Now()
			for range want.Burst - 1 { // the pace stays a little below
				w.Must(p.cloud.pace.Take(t.Context(), apiCreateInterface))
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("calls %d: %d calls waited for %s", calls, want.Burst-1, took)
			}
			for range int(want.PerSecond) {
				w.Must(p.cloud.pace.Take(t.Context(), apiCreateInterface))
			}
			if took := time.Since(begin); took < time.Second || took > 1100*time.Millisecond {
				t.Errorf("calls %d: a second's worth took %s", calls, took)
			}
		})
	}
}
