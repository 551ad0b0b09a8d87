//go:build linux

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nicferry/nicferry/internal/lab"
)

// crowdDeadline bounds what is done to a crowd of containers.
const crowdDeadline = 3 * time.Minute

// crowd create|start|check|remove N acts on containers c1 to cN of the network
// crowd. check waits until every one of them has an address of its own.
func crowd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: crowd create|start|check|remove N [DOCKER-OPTION…]")
	}
	var n int
	if _, err := fmt.Sscan(args[1], &n); err != nil {
		ts.Fatalf("crowd of %q: %v", args[1], err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), crowdDeadline)
	defer cancel()
	r := ts.Value("rig").(*rig)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i+1)
	}
	var err error
	switch args[0] {
	case "create":
		for i := 0; i < n && err == nil; i++ {
			options := append([]string{"create", "--init", "--network", "none", "--name", names[i], "--label", "nicferry.network=crowd"}, args[2:]...)
			_, err = r.docker(ctx, append(options, lab.ImageName)...)
		}
	case "start":
		_, err = r.docker(ctx, append([]string{"start"}, names...)...)
	case "check":
		err = r.checkCrowd(ctx, names)
	case "remove":
		_, err = r.docker(ctx, append([]string{"rm", "-f"}, names...)...)
	default:
		ts.Fatalf("crowd does not know %q", args[0])
	}
	if err != nil && ctx.Err() != nil {
		ts.Logf("what the engine is at:\n%s", r.engineStacks())
	}
	ts.Check(err)
}

// engineStacks is what dockerd's goroutines are at, the most frequent first: an
// engine that answers nothing any more does not say why otherwise.
func (r *rig) engineStacks() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := r.onNode(ctx, "sh", "-c", `kill -USR1 "$(cat /run/docker.pid)" && sleep 3 && cat /run/docker/goroutine-stacks*`)
	if err != nil {
		return err.Error()
	}
	times := map[string]int{}
	for _, one := range strings.Split(out, "\n\n") {
		var frames []string
		for i, line := range strings.Split(one, "\n") {
			if i > 0 && !strings.HasPrefix(line, "\t") {
				name, _, _ := strings.Cut(line, "(0x")
				frames = append(frames, name)
			}
		}
		times[strings.Join(frames, " < ")]++
	}
	stacks := slices.SortedFunc(maps.Keys(times), func(a, b string) int { return times[b] - times[a] })
	var text strings.Builder
	for _, stack := range stacks[:min(len(stacks), 30)] {
		fmt.Fprintf(&text, "%4d × %s\n", times[stack], stack)
	}
	return text.String()
}

// restarts NAME N RATE restarts a container N times, at most RATE times a second,
// and prints how often it was.
func restarts(ts *testscript.TestScript, neg bool, args []string) {
	var n, rate int
	if neg || len(args) != 3 {
		ts.Fatalf("usage: restarts NAME N RATE")
	}
	if _, err := fmt.Sscan(args[1]+" "+args[2], &n, &rate); err != nil || rate < 1 {
		ts.Fatalf("restarts of %q: %v", args, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), crowdDeadline)
	defer cancel()
	start, tick := time.Now(), time.NewTicker(time.Second/time.Duration(rate))
	defer tick.Stop()
	for range n {
		_, err := ts.Value("rig").(*rig).docker(ctx, "restart", "-t", "0", args[0])
		ts.Check(err)
		<-tick.C
	}
	fmt.Fprintf(ts.Stdout(), "%.1f a second\n", float64(n)/time.Since(start).Seconds())
}

// checkCrowd waits until every claim is bound and every container's own kernel
// shows an address, and demands that no two have the same.
func (r *rig) checkCrowd(ctx context.Context, names []string) error {
	var err error
	for ctx.Err() == nil {
		var holders map[string]string
		if holders, err = r.crowdAddrs(ctx, names); err == nil {
			if len(holders) != len(names) {
				return fmt.Errorf("%d containers share %d addresses: %v", len(names), len(holders), holders)
			}
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// crowdAddrs are the containers by address; an error if one is not there yet.
func (r *rig) crowdAddrs(ctx context.Context, names []string) (map[string]string, error) {
	out, err := r.nicferry(ctx, "get", "claims", "--no-headers")
	if err != nil {
		return nil, err
	}
	if bound := strings.Count(out, " bound "); bound != len(names) {
		return nil, fmt.Errorf("%d of %d bound", bound, len(names))
	}
	holders := map[string]string{}
	for _, name := range names {
		out, err := r.docker(ctx, "exec", name, "ip", "-o", "-4", "addr", "show", "eth0")
		if err != nil {
			return nil, err
		}
		fields := strings.Fields(out)
		if len(fields) < 4 {
			return nil, fmt.Errorf("container %s has no address yet", name)
		}
		holders[fields[3]] = name
	}
	return holders, nil
}
