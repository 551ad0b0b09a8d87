//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// BenchmarkFailOver measures how long no new claim is answered when the controller that
// leads is lost; docs/fleet.md has its figures.
//
//	go test ./e2e/fleet -run '^$' -bench FailOver -benchtime 10x
func BenchmarkFailOver(b *testing.B) {
	for _, how := range []struct {
		name   string
		strike func(*fleet.Candidate) error
	}{
		{"killed", func(c *fleet.Candidate) error { return c.Signal(syscall.SIGKILL) }},
		{"frozen", (*fleet.Candidate).Freeze},
		{"stopped", func(c *fleet.Candidate) error { return c.Signal(syscall.SIGTERM) }},
	} {
		b.Run(how.name, func(b *testing.B) {
			r := start(b, 1)
			var took []time.Duration
			for i := range b.N {
				took = append(took, r.failOver(i, how.strike))
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(took[len(took)/2].Seconds(), "median-s")
			b.ReportMetric(took[len(took)-1].Seconds(), "longest-s")
		})
	}
}

// failOver is how long it takes from the strike to the first new claim.
func (r *rig) failOver(i int, strike func(*fleet.Candidate) error) time.Duration {
	r.t.Helper()
	var leader *fleet.Candidate
	r.soon("one to lead and one to stand by", func(ctx context.Context) (err error) {
		if leader, err = r.Leader(ctx); err != nil {
			return err
		}
		for _, c := range r.Candidates {
			if err := c.Works(ctx); c != leader && (err == nil || !strings.Contains(err.Error(), "stands by")) {
				return fmt.Errorf("%s: got %v", c.Name, err)
			}
		}
		return nil
	})
	owner := nic.Owner{Node: r.Agents[0].Name, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", i), Interface: "eth0"}
	ends := len(leader.Ends())
	begin := time.Now()
	r.do(strike(leader))
	order := slices.Clone(r.Candidates)
	slices.SortFunc(order, func(a, _ *fleet.Candidate) int { // as one that has used the leader
		if a == leader {
			return -1
		}
		return 1
	})
	var release func() error
	r.soon("a new claim", func(context.Context) (err error) {
		release, err = acquire(r.t.Context(), owner, order...)
		return err
	})
	took := time.Since(begin)
	r.do(release())
	if err := leader.Thaw(); !errors.Is(err, os.ErrProcessDone) {
		r.do(err)
	}
	r.soon("the former leader to end", func(context.Context) error {
		if len(leader.Ends()) == ends {
			return errors.New("it runs")
		}
		return nil
	})
	return took
}
