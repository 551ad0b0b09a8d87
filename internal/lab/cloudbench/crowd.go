//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

const (
	crowdNodes  = 1000
	crowdClaims = 2000
	// crowdCallers is how many of the containers wait for their NICs at a time.
	crowdCallers = 200
	crowdType    = "m5.4xlarge"
)

// crowd starts containers on 1,000 nodes, with a cloud that does everything at once
// and throttles nobody: what is left is the controller's own time.
func (b *bench) crowd(ctx context.Context) (err error) {
	b.opts.Tell("%s: %d claims, buckets off", crowdMeasure, crowdClaims)
	r, err := start(ctx, b.opts.Bin, b.opts.Out, world{
		nodes: crowdNodes, kind: crowdType, calls: 1000, cloud: cloudsim.Options{Seed: 3, Quotas: cloudsim.Quotas{Interfaces: 2 * crowdClaims}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for round := range min(3, b.opts.Rounds) {
		before, used, own := len(r.site.Cloud.Log(0)), cpuNow(r), ownCPU()
		begin := time.Now()
		all := startAll(ctx, slices.Repeat(r.nodes, crowdClaims/crowdNodes), cold, crowdCallers)
		took := time.Since(begin)
		used, own = cpuNow(r)-used, ownCPU()-own
		failed := 0
		for _, s := range all {
			if s.err != nil {
				failed, err = failed+1, errors.Join(err, s.err)
			}
		}
		if failed > 0 {
			err = fmt.Errorf("%d of %d starts: %w", failed, len(all), err)
		}
		t := count(r.site.Cloud.Log(before), r.site.About.AccessKey)
		for i := 0; i < len(all); i += 10 {
			b.file.Add(crowdMeasure, "a start, each tenth", round*len(all)+i, all[i].took.Microseconds(), "us", all[i].err)
		}
		b.file.Add(crowdMeasure, "claims per second", round, int64(float64(len(all)-failed)/took.Seconds()), "claims/s", err)
		b.file.Add(crowdMeasure, whatMutating, round, int64(t.mutating), unitCalls, nil)
		b.file.Add(crowdMeasure, whatReads, round, int64(t.describes), unitCalls, nil)
		b.file.Add(crowdMeasure, "the controller's processor time", round, used.Milliseconds(), unitCPU, nil)
		b.file.Add(crowdMeasure, "the emulator's and the nodes' processor time", round, own.Milliseconds(), unitCPU, nil)
		b.steps(ctx, all, round)
		b.opts.Tell("%.0f claims/s, %d describes for %d claims", float64(len(all))/took.Seconds(), t.describes, len(all))
		if err := r.endAll(ctx, all, 0); err != nil {
			return err
		}
	}
	return nil
}

// steps records how long each step took on the way of each tenth NIC, as the
// controller tells it.
func (b *bench) steps(ctx context.Context, all []result, round int) {
	for i := 0; i < len(all); i += 10 {
		if all[i].err != nil {
			continue
		}
		view, err := all[i].node.api.Claim(ctx, all[i].claim.ID)
		if err != nil {
			b.file.Add(crowdSteps, "all", round*len(all)+i, 0, "us", err)
		}
		for _, s := range view.Steps {
			b.file.Add(crowdSteps, string(s.Name), round*len(all)+i, int64(1e6*s.Took), "us", nil)
		}
	}
}

// cpuNow is the processor time that the controller has used; 0 if it cannot be read.
func cpuNow(r *rig) time.Duration {
	d, err := r.cpu()
	if err != nil {
		return 0
	}
	return d
}

// ownCPU is the processor time that this process has used: the emulator's and the
// nodes'; 0 if it cannot be read.
func ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf is the processor time in a process's stat, in user mode and in the kernel.
func cpuOf(stat string) (time.Duration, error) {
	// The program's name, in brackets, may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read a process's stat: %q has too few fields", stat)
	}
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, fmt.Errorf("read a process's stat: %w", err)
	}
	const tick = 10 * time.Millisecond // proc_pid_stat(5): of USER_HZ, which is 100
	return time.Duration(user+system) * tick, nil
}
