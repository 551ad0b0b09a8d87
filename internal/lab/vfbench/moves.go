//go:build linux

package vfbench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/retry"
)

// What is measured of VFs on their way into containers.
const (
	way   = "claim held to configured"
	ours  = "nicferry: the VF carries its MAC"
	floor = "kernel move: one message, and one for the address"
	anew  = "nicferry: the VF has another MAC, and its driver is bound anew"

	steps     = "the agent's own steps"
	restarted = "docker restart: the VF carries its MAC"
	fresh     = "docker run: its driver is bound anew"
)

// rows are what the mover's words are called.
var rows = map[string]string{"floor": floor, "held": ours, "rebound": anew}

// perRound is how often a VF is moved each way in a round of all: it takes little.
const perRound = 8

// The VF that is moved is none of network vf100, which the containers are on.
const (
	moverPath = "/tmp/vfmove"
	movedVF   = "5"
	claimed   = "bench-claimed"
)

// moves has the mover and the agent take turns.
func (b *bench) moves(ctx context.Context) (err error) {
	end := time.Now().Add(movesTime)
	b.opts.Tell("%d rounds of a VF's way into a container, by nicferry and by the fewest messages to the kernel", perRound*b.opts.Rounds)
	program, err := os.ReadFile(b.opts.Mover)
	if err == nil {
		err = b.node.Put(ctx, moverPath, 0o755, bytes.NewReader(program))
	}
	if err != nil {
		return err
	}
	for round := 0; round < b.opts.Rounds && time.Now().Before(end); round++ {
		b.move(ctx, round*perRound)
		if err := b.agent(ctx, round); err != nil {
			b.file.Add(steps, fresh, round, 0, "us", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// move is perRound rounds of the mover, from one on. The node's agent stands still
// meanwhile: it would look at each of these moves too, on the guest's only processor.
func (b *bench) move(ctx context.Context, from int) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := b.sh(limited, "pkill -STOP -x nicferry-agent")
	var out []byte
	if err == nil {
		out, err = b.node.Command(limited, moverPath, "-pf", cluster.Cards[0], "-vf", movedVF, "-rounds", strconv.Itoa(perRound), "-limit", "50s").Output()
	}
	_, goOn := b.sh(context.WithoutCancel(ctx), "pkill -CONT -x nicferry-agent")
	took, err := parseMoves(string(out), errors.Join(err, goOn))
	for _, word := range []string{"held", "floor", "rebound"} {
		if err != nil {
			b.file.Add(way, rows[word], from, 0, "us", err)
			continue
		}
		for i, us := range took[word] {
			b.file.Add(way, rows[word], from+i, us, "us", nil)
		}
	}
}

// parseMoves reads what the mover says of all its rounds, in microseconds.
func parseMoves(out string, err error) (map[string][]int64, error) {
	took := map[string][]int64{}
	for line := range strings.Lines(out) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, numErr := strconv.ParseInt(value, 10, 64)
		if numErr != nil || rows[word] == "" {
			return nil, errors.Join(err, fmt.Errorf("the mover says %q", line))
		}
		took[word] = append(took[word], v)
	}
	for word := range rows {
		if n := len(took[word]); err == nil && n != perRound {
			err = fmt.Errorf("the mover tells %q %d times and not %d: %q", word, n, perRound, out)
		}
	}
	return took, err
}

// agent starts a container, and then again, and reads from the agent's metrics how long
// its steps took each time.
func (b *bench) agent(ctx context.Context, round int) (err error) {
	before, err := b.ferried(ctx)
	if err != nil {
		return err
	}
	end, err := b.start(ctx, claimed, "--network", "none", "--label", "nicferry.network=vf100")
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	first, err := b.configured(ctx, before)
	b.file.Add(steps, fresh, round, first.since(before), "us", err)
	if err != nil {
		return nil // a failed run, and told as such
	}
	if _, err := b.docker(ctx, "restart", "-t", "0", claimed); err != nil {
		return err
	}
	second, err := b.configured(ctx, first)
	b.file.Add(steps, restarted, round, second.since(first), "us", err)
	return nil
}

// A tally is what the agent's metrics say of its steps so far.
type tally struct {
	seconds   float64 // of making, entering and addressing
	addressed int     // NICs that were configured
}

// since is how long the steps took from one tally to the next, in microseconds.
func (t tally) since(before tally) int64 { return int64(1e6 * (t.seconds - before.seconds)) }

// rest is for the agent to see a frame leave the NIC, and to do again what that takes.
const rest = 1500 * time.Millisecond

// configured waits until one more NIC is, and nothing more is done to it.
func (b *bench) configured(ctx context.Context, before tally) (now tally, err error) {
	err = lab.Until(ctx, "the agent to have configured a NIC", patience, 300*time.Millisecond, func(ctx context.Context) error {
		now, err = b.ferried(ctx)
		if err == nil && now.addressed <= before.addressed {
			err = errors.New("it has not")
		}
		return err
	})
	if err != nil {
		return now, err
	}
	if err := retry.Sleep(ctx, rest); err != nil {
		return now, err
	}
	return b.ferried(ctx)
}

func (b *bench) ferried(ctx context.Context) (tally, error) {
	out, err := b.sh(ctx, "busybox wget -q -O - http://127.0.0.1:7462/metrics")
	if err != nil {
		return tally{}, err
	}
	return parseTally(out)
}

// parseTally reads the agent's metrics. A step that was never done is not among them.
func parseTally(text string) (t tally, err error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, sum := strings.CutPrefix(name, "nicferry_ferry_seconds_sum")
		switch {
		case sum && rest != `{step="out"}`:
			v, numErr := strconv.ParseFloat(value, 64)
			t.seconds, err = t.seconds+v, errors.Join(err, numErr)
		case name == `nicferry_ferry_seconds_count{step="address"}`:
			v, numErr := strconv.ParseFloat(value, 64)
			t.addressed, err = int(v), errors.Join(err, numErr)
		}
	}
	return t, err
}
