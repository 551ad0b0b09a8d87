//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// A result is what became of one start.
type result struct {
	begun
	err error
}

// startAll starts a container on each of the nodes, workers at a time, and waits for
// all.
func startAll(ctx context.Context, nodes []*node, network string, workers int) []result {
	all := make([]result, len(nodes))
	var wg sync.WaitGroup
	turns := make(chan struct{}, workers)
	for i, n := range nodes {
		turns <- struct{}{}
		wg.Go(func() {
			all[i].begun, all[i].err = n.start(ctx, network)
			<-turns
		})
	}
	wg.Wait()
	return all
}

// endAll removes the containers, and waits until the cloud has kept NICs: those that
// stay on their nodes.
func (r *rig) endAll(ctx context.Context, all []result, kept int) error {
	var errs []error
	for _, s := range all {
		if s.err == nil {
			errs = append(errs, s.end(ctx))
		}
	}
	return errors.Join(append(errs, r.rests(ctx, kept))...)
}

// rests waits until there are as many NICs, all of them in reserve.
func (r *rig) rests(ctx context.Context, kept int) error {
	return lab.Until(ctx, fmt.Sprintf("%d NICs to be left", kept), patience, 500*time.Millisecond, func(ctx context.Context) error {
		list, err := r.nodes[0].api.NICs(ctx)
		if err == nil && len(list) != kept {
			err = fmt.Errorf("there are %d", len(list))
		}
		for _, n := range list {
			if n.Phase != nic.PhaseSpare && err == nil {
				err = fmt.Errorf("NIC %s is %s", n.ID, n.Phase)
			}
		}
		return err
	})
}

// A tally is what the log says of a caller's calls.
type tally struct {
	mutating, describes, throttled int
	apis                           map[string]int // of all
}

// count counts what the caller has done by these entries.
func count(log []cloudsim.Entry, caller string) tally {
	t := tally{apis: map[string]int{}}
	for _, e := range log {
		switch {
		case e.API == "" || e.Caller != caller:
			continue
		case reads(e.API):
			t.describes++
		default:
			t.mutating++
		}
		t.apis[e.API]++
		if e.Code == throttledCode {
			t.throttled++
		}
	}
	return t
}

func (t tally) calls() int { return t.mutating + t.describes }

// throttledCode is EC2's word for a call too many.
const throttledCode = "RequestLimitExceeded"

// reads says whether an action changes nothing.
func reads(api string) bool {
	const describe = "Describe"
	return len(api) > len(describe) && api[:len(describe)] == describe
}

// spent is how long the cloud itself took to make and to plug in the interface with
// the MAC, from the two calls until they had taken effect; false if the log has not
// all of it.
func spent(log []cloudsim.Entry, eni string) (time.Duration, bool) {
	var begin [2]time.Time
	var took [2]time.Duration
	for _, e := range log {
		if e.Resource != eni || e.Code != "" {
			continue
		}
		switch {
		case e.API == "CreateNetworkInterface":
			begin[0] = e.Time
		case e.API == "AttachNetworkInterface":
			begin[1] = e.Time
		case e.Event == "created":
			took[0] = e.Time.Sub(begin[0])
		case e.Event == "attached":
			took[1] = e.Time.Sub(begin[1])
		}
	}
	return took[0] + took[1], !begin[0].IsZero() && !begin[1].IsZero() && took[1] > 0
}

// interfaceOf is the id of the interface with the MAC.
func (r *rig) interfaceOf(h handed) string {
	for _, i := range r.site.Cloud.Interfaces() {
		if i.MAC == cloudsim.MAC(h.mac) {
			return i.ID
		}
	}
	return ""
}
