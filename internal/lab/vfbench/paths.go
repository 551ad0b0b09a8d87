//go:build linux

package vfbench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// The ways to a server beyond the switches.
const (
	hostNIC = "host NIC"
	oneVF   = "VF"
	bondVF  = "VF bond"
	macvlan = "macvlan"
	bridge  = "docker bridge"
)

// A path is a way from the guest to a server.
type path struct {
	name, server string
	enter        []string // goes before a command that is to take the path
}

// toolTime bounds one run of a tool, which sends for no longer than 2 s.
const toolTime = 20 * time.Second

// paths measures each path in turn.
func (b *bench) paths(ctx context.Context) (err error) {
	b.opts.Tell("%d rounds of traffic on five paths", b.opts.Rounds)
	for _, program := range []string{"iperf3", "sockperf"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: install it with scripts/install-deps bench, then bring the lab up anew", err)
		}
	}
	end := time.Now().Add(pathsTime)
	list, remove, err := b.lay(ctx)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		return err
	}
	if err := retry.Sleep(ctx, 2*time.Second); err != nil { // dockerd and the agent come to rest
		return err
	}
	for round := 0; round < b.opts.Rounds && time.Now().Before(end); round++ {
		// All paths by one tool after the other, so that what disturbs the machine
		// for a while disturbs all of them.
		for _, plot := range plots() {
			for _, size := range plot.sizes {
				for i := range list {
					b.send(ctx, list[(i+round)%len(list)], plot, size, round)
					if ctx.Err() != nil {
						return ctx.Err()
					}
				}
			}
		}
		b.opts.Tell("round %d of %d is done", round+1, b.opts.Rounds)
	}
	return nil
}

// send is one run of a tool on a path.
func (b *bench) send(ctx context.Context, p path, of figure, size size, round int) {
	limited, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	out, err := b.node.Command(limited, append(slices.Clone(p.enter), size.command(p.server)...)...).Output()
	value, err := of.read(out, err)
	b.file.Add(of.measure(size), p.name, round, value, of.unit, err)
}

// The host's own address on the card, and the VLANs' servers.
const (
	hostAddr    = "10.1.0.10/24"
	macvlanNet  = "bench-macvlan"
	macvlanSpan = "10.1.0.64/28"
)

// lay makes the paths and starts the servers. end takes it all away.
func (b *bench) lay(ctx context.Context) (list []path, end func() error, err error) {
	var undo []func() error
	end = func() (err error) {
		for _, each := range slices.Backward(undo) {
			err = errors.Join(err, each())
		}
		return err
	}
	plain, tagged := cluster.Peers()[0], cluster.Peers()[1]
	for _, peer := range []cluster.Peer{plain, tagged} {
		for _, args := range [][]string{{"iperf3", "-s"}, {"sockperf", "server", "-p", "11111"}} {
			ctx, cancel := context.WithCancel(ctx)
			line := cluster.PeerCommand(peer.Name, args...)
			cmd := b.lab.Host().Command(ctx, line[0], line[1:]...)
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
	}
	card := "dev=$(ls /sys/bus/pci/devices/" + cluster.Cards[0] + "/net)\n"
	if _, err := b.sh(ctx, card+`ip link set "$dev" up; ip addr replace `+hostAddr+` dev "$dev"`); err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error {
		_, err := b.sh(context.WithoutCancel(ctx), card+`ip addr del `+hostAddr+` dev "$dev"`)
		return err
	})
	if _, err := b.sh(ctx, card+`docker network create -d macvlan --subnet `+plain.V4.Masked().String()+` --gateway `+plain.V4.Addr().String()+
		` --ip-range `+macvlanSpan+` -o parent="$dev" `+macvlanNet); err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error {
		_, err := b.docker(context.WithoutCancel(ctx), "network", "rm", macvlanNet)
		return err
	})
	list = []path{{name: hostNIC, server: plain.V4.Addr().String()}}
	for _, c := range []struct {
		name, network, label string
		peer                 cluster.Peer
	}{
		{oneVF, "none", "vf", plain},
		{bondVF, "none", "bond100", tagged},
		{macvlan, macvlanNet, "", plain},
		{bridge, "bridge", "", plain},
	} {
		p, remove, err := b.container(ctx, c.name, c.network, c.label)
		undo = append(undo, remove)
		if err != nil {
			return nil, end, err
		}
		p.server = c.peer.V4.Addr().String()
		list = append(list, p)
	}
	return list, end, b.allReach(ctx, list)
}

// container starts one on a network of Docker's, or of nicferry's.
func (b *bench) container(ctx context.Context, name, network, label string) (p path, end func() error, err error) {
	container := fmt.Sprintf("bench-%s", nic.NewID())
	args := []string{"--network", network}
	if label != "" {
		args = append(args, "--label", "nicferry.network="+label)
	}
	if end, err = b.start(ctx, container, args...); err != nil {
		return path{}, end, err
	}
	if label != "" {
		err = lab.Until(ctx, "eth0 of "+name, patience, 300*time.Millisecond, func(ctx context.Context) error {
			claim, err := story.Claim(ctx, b.lab.CLI, container)
			if err == nil && claim.Phase != nic.ClaimBound {
				err = fmt.Errorf("the claim is %s: %v", claim.Phase, claim.Conditions)
			}
			return err
		})
	}
	if err != nil {
		return path{}, end, err
	}
	pid, err := b.docker(ctx, "inspect", "-f", "{{.State.Pid}}", container)
	return path{name: name, enter: []string{"nsenter", "-t", pid, "-n"}}, end, err
}

// allReach demands that each path leads to its server.
func (b *bench) allReach(ctx context.Context, list []path) error {
	for _, p := range list {
		err := lab.Until(ctx, "a server's answer by "+p.name, patience, 300*time.Millisecond, func(ctx context.Context) error {
			return b.node.Command(ctx, append(slices.Clone(p.enter), "ping", "-c", "1", "-W", "2", p.server)...).Run()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
