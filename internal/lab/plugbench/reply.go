//go:build linux

package plugbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// What is measured of containers' starts.
const (
	reply     = "docker start to first ping reply"
	started   = "docker start returns"
	after     = "first ping reply after docker start has returned"
	preplug   = "plugged in ahead"
	late      = "plugged in at the start"
	noNetwork = "no network" // what Docker itself takes
)

// replies starts containers of each kind in turn and times the first reply
// that a peer on the LAN gets.
func (b *bench) replies(ctx context.Context) error {
	rounds := max(3, b.opts.Rounds/5)
	b.opts.Tell("%d rounds of docker start of a created container, until a peer on the LAN has a reply", rounds)
	// A peer that asks who has the address every 10 ms, or it would see seconds.
	for _, step := range [][]string{
		{"ip", "-n", cluster.LAN, "addr", "replace", "10.77.3.1/24", "dev", cluster.LANWire},
		{"ip", "netns", "exec", cluster.LAN, "sysctl", "-qw", "net.ipv4.neigh." + cluster.LANWire + ".retrans_time_ms=10"},
	} {
		if _, err := b.lab.Host().Run(ctx, step[0], step[1:]...); err != nil {
			return err
		}
	}
	for round := -1; round < rounds; round++ {
		for _, kind := range starts(round) {
			addr := fmt.Sprintf("10.77.%d.%d", lanOf(kind), 120+(round+1)%60)
			if err := b.replyOnce(ctx, kind, addr, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// lanOf is the third byte of the addresses of the kind's network; of no network
// nothing is asked at any.
func lanOf(kind string) int {
	if kind == late {
		return 3
	}
	return 1
}

// starts are the kinds in the round's order, the same in every run: nobody is
// always after the same, and pays for what that one leaves to do.
func starts(round int) []string {
	kinds := []string{preplug, late, noNetwork}
	order := make([]string, len(kinds))
	for i, k := range rand.New(rand.NewPCG(1, uint64(round+1))).Perm(len(kinds)) {
		order[i] = kinds[k]
	}
	return order
}

// replyOnce records one start. Its error is of the bench's own.
func (b *bench) replyOnce(ctx context.Context, kind, addr string, round int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	mac := nic.NewMAC()
	args := []string{"create", "--name", "bench-reply", "--init", "--network", "none"}
	if kind != noNetwork {
		network := map[string]string{preplug: "fixed", late: "late"}[kind]
		args = append(args, "--label", "nicferry.network="+network, "--label", "nicferry.ip="+addr, "--label", "nicferry.mac="+mac.String())
	}
	if _, err := b.node.Docker(ctx, append(args, lab.ImageName, "sleep", "600")...); err != nil {
		return err
	}
	if kind == preplug {
		if _, err := b.watch.await(ctx, mac, true); err != nil {
			return err
		}
	}
	if err := retry.Sleep(ctx, time.Second); err != nil { // both daemons rest
		return err
	}
	replied, stop := b.ping(ctx, addr)
	begin := time.Now()
	_, startErr := b.node.Docker(ctx, "start", "bench-reply")
	returned := time.Since(begin)
	took, err := time.Duration(0), startErr
	if kind != noNetwork && startErr == nil {
		var at time.Time
		select {
		case at = <-replied:
			took = at.Sub(begin)
		case <-time.After(patience):
			err = errors.New("no reply in time")
		}
	}
	stop()
	if round >= 0 {
		b.file.Add(started, kind, round, returned.Microseconds(), "us", startErr)
		if kind != noNetwork {
			b.file.Add(reply, kind, round, took.Microseconds(), "us", err)
			b.file.Add(after, kind, round, max(0, took-returned).Microseconds(), "us", err)
		}
	}
	return b.remove(ctx, mac)
}

// remove takes the container away and waits until its NIC is unplugged.
func (b *bench) remove(ctx context.Context, mac nic.MAC) error {
	if _, err := b.node.Docker(ctx, "rm", "-f", "bench-reply"); err != nil {
		return err
	}
	for {
		n, err := b.has(ctx, mac)
		if err != nil || n == 0 {
			return err
		}
		if err := retry.Sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("the NIC of a container that is gone stays plugged in: %w", err)
		}
	}
}

// ping asks the address from the LAN over and over and tells when the first
// reply came. stop ends it.
func (b *bench) ping(ctx context.Context, addr string) (replied chan time.Time, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	replied = make(chan time.Time, 1)
	cmd := b.lab.Host().Command(ctx, "ip", "netns", "exec", cluster.LAN, "stdbuf", "-oL", "ping", "-n", "-i", "0.01", addr)
	done := make(chan struct{})
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return replied, func() {} // nothing comes, and that is told
	}
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "bytes from") {
				select {
				case replied <- time.Now():
				default:
				}
			}
		}
		_ = cmd.Wait() // it is killed
	}()
	return replied, func() { cancel(); <-done }
}
