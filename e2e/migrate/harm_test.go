//go:build linux

package migrate

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/migratetest"
	"github.com/nicferry/nicferry/nic"
)

// prepare sets up what is to happen. hurt does it, once the step has begun, and heal
// makes good what can be when the move rests.
func (c *harmed) prepare() (hurt func() error, heal func()) {
	made := calls[c.Step]
	switch c.Harm {
	case migratetest.Fails:
		c.faults[made.do.at].inject(made.do.what, &fault{times: -1, skip: made.do.skip, refuse: true})
		if c.Forward {
			return c.healAfter(made.do.at), func() {}
		}
		return nothing, c.faults[made.do.at].heal
	case migratetest.FailsBack:
		return c.failBack(made.undo), func() { c.faults["vm1"].heal(); c.faults["vm2"].heal() }
	}
	var held *fault
	if made.do.at != "" {
		held = c.faults[made.do.at].inject(made.do.what, &fault{times: 1, skip: made.do.skip, hold: make(chan struct{})})
	}
	return func() error {
		if err := c.reached(held); err != nil {
			return err
		}
		err := c.strike()
		if held != nil {
			held.release()
		}
		return err
	}, c.healed
}

func nothing() error { return nil }

// failBack has the target's start fail, and taking a step back too: so often that the
// move is parked, where it is the making of the container, else a few times.
func (c *harmed) failBack(undo call) (hurt func() error) {
	later := calls[migrate.StepStart].do
	failing := &fault{times: -1, refuse: true, hold: make(chan struct{})}
	if c.Step == migrate.StepStart { // it is done all the same
		failing.times, failing.after = 1, true
	}
	c.faults[later.at].inject(later.what, failing)
	times := 3
	if c.Step == migrate.StepCreate {
		times = -1
	}
	return func() error {
		select {
		case <-failing.seen:
		case <-time.After(settleTime):
			return errors.New("the target's container is not started")
		}
		c.faults[undo.at].inject(undo.what, &fault{times: times, refuse: true})
		failing.release()
		return nil
	}
}

// healAfter ends faults once the step has failed.
func (c *harmed) healAfter(at string) func() error {
	return func() error {
		err := c.await("fail in "+c.Step, func(m nic.Move) bool {
			return migratetest.Step(m, c.Step).Tries > 1 || migratetest.Step(m, c.Step).Error != ""
		})
		c.faults[at].heal()
		return err
	}
}

// reached waits until the step is at work: in the call of Docker that is held back, or
// by the word of the controller.
func (c *harmed) reached(held *fault) error {
	if held == nil {
		return c.await("get to "+c.Step, func(m nic.Move) bool { return migratetest.Step(m, c.Step).State != nic.StepOpen })
	}
	select {
	case <-held.seen:
		return nil
	case <-time.After(settleTime):
		return fmt.Errorf("nothing is asked of Docker in %s", c.Step)
	}
}

// await waits until the move is as wanted; one that is over first is an error.
func (c *harmed) await(what string, as func(nic.Move) bool) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), settleTime)
	defer cancel()
	var got bool
	err := c.follow(ctx, c.id, func(m nic.Move) bool {
		got = as(m)
		return got || m.Phase.Over()
	})
	if err == nil && !got {
		err = fmt.Errorf("the move did not %s before it was over", what)
	}
	return err
}

// strike does what cannot be taken back, and has killed daemons started again.
func (c *harmed) strike() error {
	ctx := c.t.Context()
	source, target := c.vm1, c.vm2
	switch c.Harm {
	case migratetest.KillController:
		return errors.Join(c.KillController(ctx), c.StartController(ctx))
	case migratetest.KillSource:
		return errors.Join(source.Kill(ctx), source.Spawn())
	case migratetest.KillTarget:
		return errors.Join(target.Kill(ctx), target.Spawn())
	case migratetest.LoseSource:
		return c.lose(source)
	case migratetest.LoseTarget:
		return c.lose(target)
	case migratetest.MuteSource:
		return c.mute(source)
	case migratetest.MuteTarget:
		return c.mute(target)
	}
	return fmt.Errorf("unknown harm %q", c.Harm)
}

// lose has a machine lose its power.
func (c *harmed) lose(a *fleet.Agent) error {
	c.lost.Store(a)
	c.off[a.Name] = true
	return a.PowerOff()
}

// mute has an agent do nothing.
func (c *harmed) mute(a *fleet.Agent) error {
	c.silent.Store(a)
	return a.Daemons().Signal(fleet.Nicferry, syscall.SIGSTOP)
}

// healed has a machine that was lost back, with its agent.
func (c *harmed) healed() {
	if a := c.lost.Load(); a != nil {
		c.powerOn(a)
	}
	if a := c.silent.Load(); a != nil {
		c.do(a.Daemons().Signal(fleet.Nicferry, syscall.SIGCONT))
	}
}
