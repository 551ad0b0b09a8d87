//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// PingResult is what iputils' ping counted.
type PingResult struct {
	Sent     int           `json:"sent"`
	Received int           `json:"received"`
	Lost     int           `json:"lost"`
	Duration time.Duration `json:"duration"` // from the first to the last reply, by ping's clock
}

// String is for people.
func (r PingResult) String() string {
	return fmt.Sprintf("%d sent, %d received, %d lost in %s", r.Sent, r.Received, r.Lost, r.Duration)
}

// Ping pings addr from the segment once per interval, duration/interval times.
// Losses are a result and no error. The last reply is waited for, for a second
// at most, so that none is lost only because ping ended.
func (s *Segment) Ping(ctx context.Context, addr netip.Addr, interval, duration time.Duration) (PingResult, error) {
	return PingFrom(ctx, s.Command, addr, interval, duration, time.Second)
}

// PingFrom is Ping from where command leads, and waits that long for the last
// reply, in whole seconds.
func PingFrom(ctx context.Context, command func(context.Context, string, ...string) *exec.Cmd, addr netip.Addr, interval, duration, last time.Duration) (PingResult, error) {
	if interval < time.Millisecond || duration < interval {
		return PingResult{}, fmt.Errorf("ping %s every %s for %s: want at least one, and 1ms between them", addr, interval, duration)
	}
	args := []string{
		"-n", "-q", "-W", strconv.Itoa(max(1, int(last.Seconds()))),
		// ping's waits end on the kernel's timer ticks, so that 10 ms become 16.
		// With a stock of three it makes up for that instead of falling behind.
		"-l", "3",
		"-i", strconv.FormatFloat(interval.Seconds(), 'f', 3, 64),
		"-c", strconv.Itoa(int(duration / interval)),
		addr.String(),
	}
	var stdout, stderr bytes.Buffer
	cmd := command(ctx, "ping", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil // something was lost
	}
	if err != nil {
		return PingResult{}, fmt.Errorf("ping %s: %w: %s", addr, err, bytes.TrimSpace(stderr.Bytes()))
	}
	r, err := parsePing(stdout.String())
	if err != nil {
		return r, fmt.Errorf("ping %s: %w", addr, err)
	}
	return r, nil
}

// summary is ping's last line but one, such as "500 packets transmitted, 498
// received, +2 errors, 0.4% packet loss, time 4990ms".
var summary = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received, .*time (\d+)ms`)

func parsePing(out string) (PingResult, error) {
	m := summary.FindStringSubmatch(out)
	if m == nil {
		return PingResult{}, fmt.Errorf("no summary in what it printed: %q", out)
	}
	var n [3]int
	for i := range n {
		v, err := strconv.Atoi(m[i+1])
		if err != nil {
			return PingResult{}, fmt.Errorf("read summary %q: %w", m[0], err)
		}
		n[i] = v
	}
	return PingResult{Sent: n[0], Received: n[1], Lost: n[0] - n[1], Duration: time.Duration(n[2]) * time.Millisecond}, nil
}
