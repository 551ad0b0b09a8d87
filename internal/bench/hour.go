//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
)

// An hour of leases of 2 min is 60 renewals of each. The server tells when to
// renew (options 58 and 59, in seconds): while the crowd comes rarely, then all
// the time.
var (
	calm  = []string{"58,20", "59,60"}
	hasty = []string{"58,2", "59,4"}
)

const (
	renewals   = 60
	settling   = 30 * time.Second // until all have been told to make haste, and the heap has grown to that
	hourTime   = 5 * time.Minute  // at most
	sampleTime = time.Second
)

// hour samples the agent's memory while each NIC's lease is renewed as often as
// in an hour.
func hour(ctx context.Context, lan *lab.Segment, pid, nics int, file *figures.File) error {
	if err := lan.SetDHCPOptions(ctx, hasty...); err != nil {
		return err
	}
	if err := retry.Sleep(ctx, settling); err != nil {
		return err
	}
	before, err := acks(lan)
	if err != nil {
		return err
	}
	begin, done := time.Now(), 0
	for round := 0; done < renewals*nics; round++ {
		status, err := statusOf(pid)
		if err != nil {
			return fmt.Errorf("look at the agent during renewals: %w", err)
		}
		file.Add("hour", "VmRSS", round, status["VmRSS"], "KiB", nil)
		file.Add("hour", "Threads", round, status["Threads"], "threads", nil)
		if err := retry.Sleep(ctx, sampleTime); err != nil {
			return err
		}
		now, err := acks(lan)
		if err != nil {
			return err
		}
		if done = now - before; time.Since(begin) > hourTime {
			return fmt.Errorf("%d of %d renewals in %s", done, renewals*nics, hourTime)
		}
	}
	file.Add("hour", "renewals", 0, int64(done), "renewals", nil)
	file.Add("hour", "time", 0, time.Since(begin).Milliseconds(), "ms", nil)
	return nil
}

// acks is how often the server has said yes.
func acks(lan *lab.Segment) (int, error) {
	log, err := lan.DHCPLog()
	return strings.Count(log, " DHCPACK("), err
}
