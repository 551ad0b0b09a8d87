//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/retry"
)

// The records' names. What is not told in microseconds is in no table of times.
const (
	callsCold    = "calls of a cold start"
	callsWarm    = "calls of a warm start"
	callsBurst   = "200 starts on 20 nodes"
	crowdMeasure = "1,000 nodes"
	crowdSteps   = "1,000 nodes, by step"
	unitCalls    = "calls"
	unitCPU      = "ms of CPU"
	whatMutating = "mutating"
	whatReads    = "describes"
)

// settled is how long no call may follow a start, to be counted with it.
const settled = 1500 * time.Millisecond

// calls counts those of single starts, on an otherwise idle controller, while creating
// and attaching take their time.
func (b *bench) calls(ctx context.Context) (err error) {
	b.opts.Tell("calls of a start: %d cold and %d warm ones", b.opts.Rounds, b.opts.Rounds)
	r, err := start(ctx, b.opts.Bin, b.opts.Out, world{
		nodes: 1, kind: "m5.large", cloud: cloudsim.Options{Seed: 1, Latency: latency(), Buckets: cloudsim.KnownBuckets()},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	// What is asked once, such as what the instance's type holds, belongs to no start.
	for _, network := range []string{cold, warm} {
		if err := b.countOne(ctx, r, network, -1); err != nil {
			return err
		}
	}
	for round := range b.opts.Rounds {
		if err := errors.Join(b.countOne(ctx, r, cold, round), b.countOne(ctx, r, warm, round)); err != nil {
			return err
		}
	}
	return nil
}

// countOne starts one container, records its calls, and removes it.
func (b *bench) countOne(ctx context.Context, r *rig, network string, round int) error {
	before := len(r.site.Cloud.Log(0))
	s, err := r.nodes[0].start(ctx, network)
	if err == nil {
		err = retry.Sleep(ctx, settled)
	}
	t := count(r.site.Cloud.Log(before), r.site.About.AccessKey)
	if round >= 0 {
		title := map[string]string{cold: callsCold, warm: callsWarm}[network]
		b.file.Add(title, whatMutating, round, int64(t.mutating), unitCalls, err)
		b.file.Add(title, whatReads, round, int64(t.describes), unitCalls, err)
	}
	if err != nil {
		return err
	}
	kept := 0
	if network == warm || round >= 0 {
		kept = 1 // that of the warm network
	}
	if err := r.endAll(ctx, []result{{begun: s}}, kept); err != nil {
		return fmt.Errorf("after a %s start: %w", network, err)
	}
	return retry.Sleep(ctx, settled) // the next count begins with silence
}

// latency is how long the cloud takes here.
func latency() cloudsim.Latency {
	l := cloudsim.ObservedLatency()
	return cloudsim.Latency{Create: l.Create, Attach: l.Attach, Detach: l.Detach}
}
