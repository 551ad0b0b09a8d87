//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
)

// A fault does harm and takes it back again, if it is not the system's to mend; it says
// what it did.
type fault struct {
	name string
	do   func(ctx context.Context, r *run, rng *rand.Rand) (string, error)
}

// The two that are harmed.
const controller, agent = "controller", "agent"

// faults are all kinds.
func faults() []fault {
	return []fault{
		{"kill -9 agent", func(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
			return r.killed(ctx, rng, agent)
		}},
		{"kill -9 controller", func(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
			return r.killed(ctx, rng, controller)
		}},
		{"kill -9 both", func(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
			return r.killed(ctx, rng, agent, controller)
		}},
		{"freeze agent", func(ctx context.Context, r *run, rng *rand.Rand) (string, error) { return r.frozen(ctx, rng, agent) }},
		{"freeze controller", func(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
			return r.frozen(ctx, rng, controller)
		}},
		{"kill -9 dockerd", dockerKilled},
		{"restart dockerd", dockerRestarted},
		{"docker kill all", allKilled},
		{"docker kill while they start", killedWhileStarting},
		{"ip link set eth0 down", func(ctx context.Context, r *run, _ *rand.Rand) (string, error) {
			return r.inContainers(ctx, "link", "set", "eth0", "down")
		}},
		{"ip addr flush dev eth0", func(ctx context.Context, r *run, _ *rand.Rand) (string, error) {
			return r.inContainers(ctx, "addr", "flush", "dev", "eth0")
		}},
		{"cut agent from controller", cut},
		{"stop the DHCP server", dhcpAway},
		{"fill the agent's disk", agentsDiskFull},
		{"agent's disk read-only", agentsDiskReadOnly},
		{"kill -9 controller, its store read-only", storeReadOnly},
	}
}

// bag draws so many faults: all kinds come before one comes again.
func bag(seed uint64, n int) (drawn []fault) {
	rng := rand.New(rand.NewPCG(seed, 1<<32))
	for len(drawn) < n {
		all := faults()
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		drawn = append(drawn, all...)
	}
	return drawn[:n]
}

// some is a while in a fault.
func (r *run) some(rng *rand.Rand) time.Duration {
	most := min(10*time.Second, r.Every/5)
	return (most/4 + time.Duration(rng.Int64N(int64(most*3/4)))).Round(100 * time.Millisecond)
}

// runs notes that a daemon has been started.
func (r *run) runs(who string) { r.look.began(who, r.daemon(who).PID()) }

func (r *run) daemon(who string) *lab.Process {
	if who == agent {
		return r.vm.Daemons().Process(fleet.Nicferry)
	}
	return r.fleet.Daemons().Process(fleet.Controller)
}

// killed kills some daemons, and starts them again after a while.
func (r *run) killed(ctx context.Context, rng *rand.Rand, whom ...string) (string, error) {
	for _, who := range whom {
		kill := r.fleet.KillController
		if who == agent {
			kill = r.vm.Kill
		}
		r.look.gone(who)
		if err := kill(ctx); err != nil {
			return "", err
		}
	}
	pause := r.some(rng)
	if err := retry.Sleep(ctx, pause); err != nil {
		return "", err
	}
	for _, who := range whom {
		start := r.fleet.StartController
		if who == agent {
			start = func(context.Context) error { return r.vm.Spawn() }
		}
		if err := start(ctx); err != nil {
			return "", err
		}
		r.runs(who)
	}
	return fmt.Sprintf("away for %s", pause), nil
}

// frozen stops a daemon, and has it go on after a while.
func (r *run) frozen(ctx context.Context, rng *rand.Rand, who string) (string, error) {
	pause, process := r.some(rng), r.daemon(who)
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	err := retry.Sleep(ctx, pause)
	return fmt.Sprintf("for %s", pause), errors.Join(err, process.Signal(syscall.SIGCONT))
}

// dockerKilled ends the engine. The next one ends the containers that it knows; one that
// was being made is in nobody's books, and waits with its namespace for a start for ever.
func dockerKilled(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	pause, engine := r.some(rng), r.vm.Machine.Engine
	if err := engine.Kill(ctx); err != nil {
		return "", err
	}
	err := retry.Sleep(ctx, pause)
	_, _ = r.vm.Machine.Run(ctx, "pkill", "-KILL", "-xf", "runc init") // which says no where there is none
	return fmt.Sprintf("away for %s, and its containers ended by the next one", pause), errors.Join(err, engine.Start(ctx))
}

func dockerRestarted(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	pause, engine := r.some(rng), r.vm.Machine.Engine
	if err := engine.Stop(ctx); err != nil {
		return "", err
	}
	err := retry.Sleep(ctx, pause)
	return fmt.Sprintf("away for %s, with all containers stopped", pause), errors.Join(err, engine.Start(ctx))
}

// allKilled kills all containers at once; those of a slot are started again later.
func allKilled(ctx context.Context, r *run, _ *rand.Rand) (string, error) {
	names, err := r.containers(ctx, false)
	if err != nil || len(names) == 0 {
		return "there were none", err
	}
	if _, err := r.vm.Docker(ctx, append([]string{"kill"}, names...)...); err != nil && !ended(err) {
		return "", err
	}
	return fmt.Sprintf("%d containers", len(names)), nil
}

// killedWhileStarting starts containers and kills each a moment later.
func killedWhileStarting(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	const times = 4
	for i := range times {
		name := fmt.Sprintf("hasty%d", i)
		create := story.Create(lab.ImageName, name, []string{"nicferry.network=" + []string{"wire", "named"}[rng.IntN(2)]}, "run", "-d")
		if _, err := r.vm.Docker(ctx, create...); err != nil {
			return "", err
		}
		if err := retry.Sleep(ctx, time.Duration(rng.IntN(60))*time.Millisecond); err != nil {
			return "", err
		}
		verb := [][]string{{"kill"}, {"rm", "-f"}}[rng.IntN(2)]
		if _, err := r.vm.Docker(ctx, append(verb, name)...); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d containers", times), nil
}

// inContainers runs ip in every container's network, as root of the machine.
func (r *run) inContainers(ctx context.Context, args ...string) (string, error) {
	names, err := r.containers(ctx, false)
	if err != nil || len(names) == 0 {
		return "there were none", err
	}
	done := 0
	for _, name := range names {
		pid, err := r.vm.Docker(ctx, "inspect", "-f", "{{.State.Pid}}", name)
		if err != nil {
			continue // removed meanwhile
		}
		_, err = r.vm.Machine.Run(ctx, "nsenter", append([]string{"--target", strings.TrimSpace(pid), "--net", "ip"}, args...)...)
		if err == nil {
			done++ // else it has gone, or has no eth0 yet
		}
	}
	return fmt.Sprintf("in %d containers", done), nil
}

// port is the fleet's end of the cable between the two machines.
const port = "port1"

// cut has controller and agent hear nothing of each other.
func cut(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	pause := r.some(rng)
	if _, err := r.fleet.Machine.Run(ctx, "ip", "link", "set", port, "down"); err != nil {
		return "", err
	}
	err := retry.Sleep(ctx, pause)
	_, upErr := r.fleet.Machine.Run(ctx, "ip", "link", "set", port, "up")
	return fmt.Sprintf("for %s", pause), errors.Join(err, upErr)
}

func dhcpAway(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	pause := r.some(rng)
	if err := r.vm.LAN.StopDHCP(ctx); err != nil {
		return "", err
	}
	err := retry.Sleep(ctx, pause)
	return fmt.Sprintf("for %s", pause), errors.Join(err, r.vm.LAN.StartDHCP(ctx))
}

// ended knows what Docker says of a container that has ended, or is gone.
func ended(err error) bool {
	return strings.Contains(err.Error(), "is not running") || strings.Contains(err.Error(), "No such container")
}
