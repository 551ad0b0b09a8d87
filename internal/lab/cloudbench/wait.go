//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/retry"
)

// The measures of waiting, and their rows.
const (
	waitCold   = "cold: from start to ready"
	waitBeyond = "cold: beyond what the cloud itself took"
	waitWarm   = "warm: from start to ready"
	ours       = "nicferry"
)

// waitNodes start a container each at the same time.
const waitNodes = 20

// wait measures how long containers wait for their NICs: without one in reserve on
// their node, against rivals that go to work at the same time on clouds of their own,
// which are like it; and with one.
func (b *bench) wait(ctx context.Context) (err error) {
	b.opts.Tell("from start to ready: %d rounds of %d nodes", b.opts.Rounds, waitNodes)
	like := cloudsim.Options{Latency: latency(), Buckets: cloudsim.KnownBuckets()}
	r, err := start(ctx, b.opts.Bin, b.opts.Out, world{nodes: waitNodes, kind: crowdType, cloud: like})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	// What the first containers leave on their nodes, the next ones get.
	if err := r.endAll(ctx, startAll(ctx, r.nodes, warm, waitNodes), waitNodes); err != nil {
		return err
	}
	for round := range b.opts.Rounds {
		// The buckets fill up, and what looks at what is being deleted comes to an end.
		if err := retry.Sleep(ctx, settled); err != nil {
			return err
		}
		b.opts.Tell("round %d", round+1)
		like.Seed = uint64(round) //nolint:gosec // small
		if err := errors.Join(b.coldRound(ctx, r, like, round), b.warmRound(ctx, r, round)); err != nil {
			return err
		}
	}
	return nil
}

// coldRound has all go to work at once.
func (b *bench) coldRound(ctx context.Context, r *rig, like cloudsim.Options, round int) error {
	var mine []result
	theirs := make([][]sample, len(rivals()))
	faults := make([]error, len(theirs))
	var wg sync.WaitGroup
	before := len(r.site.Cloud.Log(0))
	wg.Go(func() { mine = startAll(ctx, r.nodes, cold, waitNodes) })
	for i, rival := range rivals() {
		wg.Go(func() { theirs[i], faults[i] = rival.round(ctx, like) })
	}
	wg.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	log := r.site.Cloud.Log(before)
	for i, s := range mine {
		one := sample{took: s.took, err: s.err}
		if one.err == nil {
			one.cloud, one.err = took(log, r.interfaceOf(s.handed))
		}
		b.sample(ours, round*waitNodes+i, one)
	}
	for i, rival := range rivals() {
		for n, s := range theirs[i] {
			b.sample(rival.name, round*waitNodes+n, s)
		}
	}
	return r.endAll(ctx, mine, waitNodes)
}

// A sample is how long one start took, and how much of that the cloud.
type sample struct {
	took, cloud time.Duration
	err         error
}

func (b *bench) sample(who string, number int, s sample) {
	b.file.Add(waitCold, who, number, s.took.Microseconds(), "us", s.err)
	b.file.Add(waitBeyond, who, number, (s.took - s.cloud).Microseconds(), "us", s.err)
}

// took is how long the cloud took for an interface.
func took(log []cloudsim.Entry, eni string) (time.Duration, error) {
	d, ok := spent(log, eni)
	if !ok {
		return 0, errors.New("the cloud's log has no creating and attaching of interface " + eni)
	}
	return d, nil
}

// round has a rival start a container on each instance of a cloud of its own.
func (r rival) round(ctx context.Context, like cloudsim.Options) ([]sample, error) {
	s, err := site.Start(ctx, site.Options{Instances: waitNodes, Type: crowdType, Cloud: like})
	if err != nil {
		return nil, err
	}
	all, enis := make([]sample, waitNodes), make([]string, waitNodes)
	var wg sync.WaitGroup
	for i, instance := range s.About.Instances {
		wg.Go(func() {
			enis[i], all[i].took, all[i].err = r.start(ctx, s.Cloud, place{instance.ID, instance.Subnet, s.About.Group})
		})
	}
	wg.Wait()
	log := s.Cloud.Log(0)
	for i := range all {
		if all[i].err == nil {
			all[i].cloud, all[i].err = took(log, enis[i])
		}
	}
	return all, s.Close()
}

// warmRound starts a container on each node that has a NIC in reserve, and wants no
// call for that.
func (b *bench) warmRound(ctx context.Context, r *rig, round int) error {
	before := len(r.site.Cloud.Log(0))
	all := startAll(ctx, r.nodes, warm, waitNodes)
	t := count(r.site.Cloud.Log(before), r.site.About.AccessKey)
	for i, s := range all {
		b.file.Add(waitWarm, ours, round*waitNodes+i, s.took.Microseconds(), "us", s.err)
	}
	b.file.Add(waitWarm, "calls of all of them", round, int64(t.calls()), unitCalls, nil)
	return r.endAll(ctx, all, waitNodes)
}
