//go:build linux

package plugbench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/traffic"
	"github.com/nicferry/nicferry/internal/retry"
)

// The paths to a server on the LAN, and what is measured of them.
const (
	pathNIC     = "container with a hot-plugged NIC"
	pathMacvlan = "container on macvlan"
	pathDocker  = "container on docker0 (bridge and NAT)"
	pathGuest   = "the VM itself"

	udpSent   = "UDP 64 B, sent"
	udpGot    = "UDP 64 B, received"
	tcp       = "TCP"
	middleRTT = "round trip, p50"
	slowRTT   = "round trip, p99"
)

// seconds is how long each tool sends.
const seconds = "2"

// server is the LAN's address for what is not nicferry's; see also fixedServer.
const (
	server      = "10.77.2.1"
	guestAddr   = "10.77.2.10/24"
	fixedServer = "10.77.1.1"
)

// A path is a way from the guest to the servers.
type path struct {
	name, server string
	// enter goes before a command that is to take the path.
	enter []string
}

// paths measures each path in turn, all of them to the same servers.
func (b *bench) paths(ctx context.Context) (err error) {
	rounds := max(3, b.opts.Rounds/3)
	b.opts.Tell("%d rounds of traffic on four paths", rounds)
	for _, program := range []string{"iperf3", "sockperf"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: install it with scripts/install-deps bench, then bring the lab up anew", err)
		}
	}
	list, end, err := b.lay(ctx)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	if err := retry.Sleep(ctx, 2*time.Second); err != nil { // dockerd and the agent come to rest
		return err
	}
	for round := range rounds {
		// All paths by one tool after the other, so that what disturbs the machine
		// for a while disturbs all of them.
		for _, tool := range []func(context.Context, path, int){b.udp, b.tcp, b.rtt} {
			for i := range list {
				tool(ctx, list[(i+round)%len(list)], round)
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
		}
	}
	return nil
}

// lay makes the paths and starts the servers. end takes it all away.
func (b *bench) lay(ctx context.Context) (list []path, end func() error, err error) {
	var undo []func() error
	end = func() error {
		var all error
		for i := range undo {
			all = errors.Join(all, undo[len(undo)-1-i]())
		}
		return all
	}
	clean := context.WithoutCancel(ctx)
	own, err := b.newCard() // the guest's own NIC on the same switch
	if err != nil {
		return nil, end, err
	}
	if err := b.virsh(ctx, "attach-device", own, []string{"--live"}); err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error { return b.virsh(clean, "detach-device", own, []string{"--live"}) })
	if _, err := b.watch.await(ctx, own.spec.MAC, true); err != nil {
		return nil, end, err
	}
	if _, err := b.lab.Host().Run(ctx, "ip", "-n", cluster.LAN, "addr", "replace", server+"/24", "dev", cluster.LANWire); err != nil {
		return nil, end, err
	}
	prepare := `dev=$(ip -o link | grep -i ` + own.spec.MAC.String() + ` | cut -d: -f2 | tr -d ' ')
ip link set "$dev" up && ip addr replace ` + guestAddr + ` dev "$dev" &&
docker network create -d macvlan --subnet 10.77.2.0/24 --gateway ` + server + ` --ip-range 10.77.2.64/28 -o parent="$dev" bench-macvlan`
	if _, err := b.node.Command(ctx, "sh", "-c", prepare).Output(); err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error {
		_, err := b.node.Docker(clean, "network", "rm", "bench-macvlan")
		return err
	})
	for _, args := range [][]string{{"iperf3", "-s"}, {"sockperf", "server", "-p", "11111"}} {
		ctx, cancel := context.WithCancel(ctx)
		cmd := b.lab.Host().Command(ctx, "ip", append([]string{"netns", "exec", cluster.LAN}, args...)...)
		if err := cmd.Start(); err != nil {
			cancel()
			return nil, end, err
		}
		undo = append(undo, func() error {
			cancel()
			_ = cmd.Wait() // it is killed
			return nil
		})
	}
	list, err = b.containers(ctx, &undo)
	return append(list, path{name: pathGuest, server: server}), end, err
}

// containers starts one on each of the other paths.
func (b *bench) containers(ctx context.Context, undo *[]func() error) (list []path, err error) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{pathNIC, []string{"--network", "none", "--label", "nicferry.network=fixed"}},
		{pathMacvlan, []string{"--network", "bench-macvlan"}},
		{pathDocker, []string{"--network", "bridge"}},
	} {
		id, err := b.node.Docker(ctx, append(append([]string{"run", "-d", "--init"}, c.args...), lab.ImageName, "sleep", "3600")...)
		if err != nil {
			return nil, err
		}
		*undo = append(*undo, func() error {
			_, err := b.node.Docker(context.WithoutCancel(ctx), "rm", "-f", id)
			return err
		})
		pid, err := b.node.Docker(ctx, "inspect", "-f", "{{.State.Pid}}", id)
		if err != nil {
			return nil, err
		}
		p := path{c.name, server, []string{"nsenter", "-t", pid, "-n"}}
		if c.name == pathNIC {
			p.server = fixedServer
		}
		list = append(list, p)
	}
	return list, nil
}

// run runs a tool on a path in the guest.
func (b *bench) run(ctx context.Context, p path, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return b.node.Command(ctx, append(slices.Clone(p.enter), args...)...).Output()
}

func (b *bench) udp(ctx context.Context, p path, round int) {
	out, err := b.run(ctx, p, "iperf3", "-J", "-c", p.server, "-u", "-b", "0", "-l", "64", "-t", seconds)
	d, err := traffic.UDP(out, err)
	b.file.Add(udpSent, p.name, round, d.Sent(), "packets/s", err)
	b.file.Add(udpGot, p.name, round, d.Got(), "packets/s", err)
}

func (b *bench) tcp(ctx context.Context, p path, round int) {
	out, err := b.run(ctx, p, "iperf3", "-J", "-c", p.server, "-t", seconds)
	rate, err := traffic.TCP(out, err)
	b.file.Add(tcp, p.name, round, rate, "kbit/s", err)
}

func (b *bench) rtt(ctx context.Context, p path, round int) {
	out, err := b.run(ctx, p, "sockperf", "ping-pong", "-i", p.server, "-p", "11111", "-t", seconds, "--msg-size", "64", "--full-rtt")
	middle, slow, err := traffic.RTT(string(out), err)
	b.file.Add(middleRTT, p.name, round, middle, "us", err)
	b.file.Add(slowRTT, p.name, round, slow, "us", err)
}
