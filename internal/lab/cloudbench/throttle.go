//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

const (
	burstNodes  = 20
	burstStarts = 200
	burstType   = "m5.16xlarge" // 14 containers
)

// throttle starts 200 containers at once on 20 nodes, within the buckets that EC2
// documents, and counts what was throttled.
func (b *bench) throttle(ctx context.Context) (err error) {
	b.opts.Tell("%s, at once, under EC2's buckets as far as known", callsBurst)
	r, err := start(ctx, b.opts.Bin, b.opts.Out, world{
		nodes: burstNodes, kind: burstType, cloud: cloudsim.Options{Seed: 2, Latency: latency(), Buckets: cloudsim.KnownBuckets()},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	before := len(r.site.Cloud.Log(0))
	begin := time.Now()
	all := startAll(ctx, slices.Repeat(r.nodes, burstStarts/burstNodes), cold, burstStarts)
	last := time.Since(begin)
	for i, s := range all {
		b.file.Add(callsBurst, "a start", i, s.took.Microseconds(), "us", s.err)
	}
	b.file.Add(callsBurst, "the last of them", 0, last.Microseconds(), "us", nil)
	ending := r.endAll(ctx, all, 0)
	// The removals' calls are among them: they have buckets, too.
	t := count(r.site.Cloud.Log(before), r.site.About.AccessKey)
	b.file.Add(callsBurst, "all", 0, int64(t.calls()), unitCalls, nil)
	b.file.Add(callsBurst, whatReads, 0, int64(t.describes), unitCalls, nil)
	b.file.Add(callsBurst, "throttled", 0, int64(t.throttled), unitCalls, nil)
	return ending
}
