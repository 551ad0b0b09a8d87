//go:build linux

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
)

// A churn has containers come and go. It pauses between two commands.
type churn struct {
	run     *run
	slots   []*slot
	workers sync.WaitGroup
	stop    context.CancelFunc // nil while it pauses
}

// A slot is a place for one container.
type slot struct {
	number int
	rng    *rand.Rand
	// name is of the container; empty if there is none.
	name string
	// doubt is that nobody knows whether there is one of the name.
	doubt bool
	lives int
}

// workers is how many of Docker's commands are under way at a time.
const workers = 2

// commandTime bounds each of Docker's commands.
const commandTime = 60 * time.Second

func newChurn(r *run) *churn {
	c := &churn{run: r}
	for i := range r.AtOnce {
		c.slots = append(c.slots, &slot{number: i, rng: rand.New(rand.NewPCG(r.Seed, uint64(1000+i)))})
	}
	return c
}

// resume goes on, if it pauses.
func (c *churn) resume(ctx context.Context) {
	if c.stop != nil {
		return
	}
	ctx, c.stop = context.WithCancel(ctx)
	for w := range workers {
		c.workers.Go(func() {
			for turn := w; ctx.Err() == nil; turn += workers {
				s := c.slots[turn%len(c.slots)]
				if len(c.slots)%workers != 0 && s.number%workers != w {
					continue // each has slots of its own
				}
				c.step(context.WithoutCancel(ctx), s) // a command is not broken off
				_ = retry.Sleep(ctx, time.Duration(s.rng.IntN(400))*time.Millisecond)
			}
		})
	}
}

// pause returns when no command is under way any more.
func (c *churn) pause() {
	if c.stop == nil {
		return
	}
	c.stop()
	c.workers.Wait()
	c.stop = nil
}

// step does one thing to a slot's container. What fails in a fault is no problem.
func (c *churn) step(ctx context.Context, s *slot) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	excused, stood := c.run.disturbed.Load(), c.run.look.stood.Load()
	var err error
	switch p := s.rng.IntN(10); {
	case s.name == "":
		err = c.create(ctx, s)
	case p < 6 || s.doubt:
		_, err = c.run.vm.Docker(ctx, "rm", "-f", s.name)
		if err == nil {
			s.name, s.doubt = "", false
		}
	case p < 8:
		_, err = c.run.vm.Docker(ctx, "restart", "-t", "1", s.name)
	default:
		if _, err = c.run.vm.Docker(ctx, "stop", "-t", "1", s.name); err == nil {
			_, err = c.run.vm.Docker(ctx, "start", s.name)
		}
	}
	if err == nil {
		return
	}
	s.doubt = s.name != ""
	if !excused && !c.run.disturbed.Load() && c.run.look.stood.Load() == stood {
		c.run.problem("without a fault at the time: %v", err)
	}
}

// create starts a container on one of the networks. On brief each has a new name; on
// the others the slot's, for which addresses are kept.
func (c *churn) create(ctx context.Context, s *slot) error {
	network := []string{"wire", "named", "brief", "warm"}[s.rng.IntN(4)]
	s.lives++
	s.name = fmt.Sprintf("c%d", s.number)
	if network == "brief" {
		s.name = fmt.Sprintf("b%d-%d", s.number, s.lives)
	}
	c.run.lives.Add(1)
	_, err := c.run.vm.Docker(ctx, story.Create(lab.ImageName, s.name, []string{"nicferry.network=" + network}, "run", "-d")...)
	return err
}

// forget says that all containers have been removed.
func (c *churn) forget() {
	for _, s := range c.slots {
		s.name, s.doubt = "", false
	}
}
