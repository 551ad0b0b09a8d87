//go:build linux

package movebench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// The rivals, and what is measured of them.
const (
	ours       = "nicferry"
	oursDeaf   = "nicferry, the peer deaf to gratuitous ARP"
	byFloor    = "floor: virsh detach-device, attach-device, one netns move"
	byScript   = "script: docker stop, virsh, docker start, ip"
	nicSilence = "move-nic: how long the peer hears nothing"
	nicCommand = "move-nic: until the command is back"
	nicSteps   = "move-nic: nicferry by step"
	floorSteps = "move-nic: the floor by step"
	allSilence = "migrate: last reply from the old container to the first from the new"
	allCommand = "migrate: until the command is back"
	allSteps   = "migrate: nicferry by step"
	handSteps  = "migrate: the script by step"
	// fromOrder is when a silence began, for the plots.
	fromOrder = " begins"
)

// A run is one move.
type run struct {
	order, end time.Time
	steps      []step
}

type step struct {
	name  string
	began time.Time
	took  time.Duration
}

// step notes what has just ended.
func (r *run) step(name string, err error) {
	if err != nil {
		return
	}
	began := r.order
	if n := len(r.steps); n > 0 {
		began = r.steps[n-1].began.Add(r.steps[n-1].took)
	}
	r.steps = append(r.steps, step{name, began, time.Since(began)})
}

// A mover moves something to the other guest and next time back.
type mover interface {
	place(context.Context) error
	addr() netip.Addr
	move(context.Context) (run, error)
	remove(context.Context) error
}

// A rival is one way to move.
type rival struct {
	name string
	mover
	deaf bool
	// every is in how many rounds it takes part in one.
	every int
}

// A part is what is measured of rivals.
type part struct {
	silence, command string
	steps            func(rival string) string // the measure of its steps
	// change: the silence is between two programs, and not the longest of all.
	change bool
	list   []rival
}

// nics moves NICs between containers that run on.
func (b *bench) nics(ctx context.Context) error {
	b.opts.Tell("%d rounds of a NIC that moves between running containers, nicferry's and by hand", b.opts.Rounds)
	moved := &ferry{bench: b, kind: nic.MoveNIC, container: "bench-nic", ip: "10.77.1.150"}
	return b.measurePart(ctx, part{
		silence: nicSilence, command: nicCommand,
		steps: func(name string) string {
			if name == ours {
				return nicSteps
			}
			return floorSteps
		},
		list: []rival{{name: ours, mover: moved, every: 1}, {name: byFloor, mover: &floor{bench: b}, every: 1}, {name: oursDeaf, mover: moved, deaf: true, every: 3}},
	})
}

// containers moves containers with their NICs.
func (b *bench) containers(ctx context.Context) error {
	b.opts.Tell("%d rounds of a container that moves, nicferry's and by a script", b.opts.Rounds)
	moved := &ferry{bench: b, kind: nic.MoveContainer, container: "bench-all", ip: "10.77.1.151"}
	return b.measurePart(ctx, part{
		silence: allSilence, command: allCommand, change: true,
		steps: func(name string) string {
			if name == ours {
				return allSteps
			}
			return handSteps
		},
		list: []rival{{name: ours, mover: moved, every: 1}, {name: byScript, mover: &script{bench: b}, every: 1}, {name: oursDeaf, mover: moved, deaf: true, every: 3}},
	})
}

// measurePart has each rival move in each round, after one that does not count.
func (b *bench) measurePart(ctx context.Context, p part) (err error) {
	placed := map[mover]bool{}
	defer func() {
		for m := range placed {
			err = errors.Join(err, m.remove(ctx))
		}
	}()
	for _, r := range p.list {
		if placed[r.mover] {
			continue
		}
		placed[r.mover] = true
		if err := r.place(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	for round := -1; round < b.opts.Rounds; round++ {
		for _, i := range order(round, len(p.list)) {
			if r := p.list[i]; max(round, 0)%r.every == 0 {
				if err := b.once(ctx, p, r, round); err != nil {
					return fmt.Errorf("%s, round %d: %w", r.name, round, err)
				}
			}
		}
	}
	return nil
}

// order is the rivals' in a round, the same in every run: nobody is always after
// the same, and pays for what that one leaves to do.
func order(round, rivals int) []int {
	return rand.New(rand.NewPCG(1, uint64(round+1))).Perm(rivals)
}

// rest is how long all daemons rest between two moves.
const rest = time.Second

// once has a rival move, and records it. What it did wrong is recorded; the error is
// of what keeps all of them from going on.
func (b *bench) once(ctx context.Context, p part, r rival, round int) error {
	if err := errors.Join(b.deafen(ctx, r.deaf), retry.Sleep(ctx, rest)); err != nil {
		return err
	}
	asks, err := b.ask(ctx, r.addr())
	if err != nil {
		return err
	}
	defer asks.close()
	before, err := asks.await(ctx, "")
	if err != nil {
		return err
	}
	moved, err := r.move(ctx)
	if err != nil {
		return err // nobody knows where it is now
	}
	after, err := asks.await(ctx, before)
	if err != nil {
		return err
	}
	silent, longest, err := over(asks.heard(), before, after, moved.order)
	switch {
	case !p.change:
		silent = longest
	case longest.took() > silent.took() && err == nil:
		err = fmt.Errorf("the peer heard nothing for %s at another time than the move's", longest.took())
	}
	if round < 0 {
		return nil
	}
	b.file.Add(p.silence, r.name, round, silent.took().Microseconds(), "us", err)
	b.file.Add(p.silence+fromOrder, r.name, round, silent.from.Sub(moved.order).Microseconds(), "us after the order", err)
	b.file.Add(p.command, r.name, round, moved.end.Sub(moved.order).Microseconds(), "us", err)
	if !r.deaf {
		for _, s := range moved.steps {
			b.file.Add(p.steps(r.name), s.name, round, s.took.Microseconds(), "us", err)
		}
	}
	return nil
}

// deafen has the peer take no notice of gratuitous ARP, or notice again.
func (b *bench) deafen(ctx context.Context, deaf bool) error {
	value := "0"
	if deaf {
		value = "1"
	}
	_, err := b.lab.Host().Run(ctx, "ip", "netns", "exec", cluster.LAN, "sysctl", "-qw", "net.ipv4.conf."+cluster.LANWire+".drop_gratuitous_arp="+value)
	return err
}
