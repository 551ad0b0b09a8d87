//go:build linux

package plugbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// frozenRounds are few: virsh stalls for 5 s in each.
const frozenRounds = 5

// frozen measures how long a detach holds its caller up while the guest cannot
// let go.
func (b *bench) frozen(ctx context.Context) error {
	b.opts.Tell("%d rounds of a detach from a guest that is frozen", frozenRounds)
	for round := range frozenRounds {
		for _, r := range b.rivals()[:2] {
			if err := b.frozenOnce(ctx, r, round); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) frozenOnce(ctx context.Context, r rival, round int) error {
	c, err := b.newCard()
	if err != nil {
		return err
	}
	if err := r.attach(ctx, c); err != nil {
		return err
	}
	if _, err := b.watch.await(ctx, c.spec.MAC, true); err != nil {
		return err
	}
	if err := retry.Sleep(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	if err := b.domain(ctx, "suspend"); err != nil {
		return err
	}
	begin := time.Now()
	callErr := r.detach(ctx, c) // virsh says that it succeeded, or that the device is still there
	took := time.Since(begin)
	if r.name == ours && callErr != nil {
		b.file.Add(frozen, r.name, round, took.Microseconds(), "us", callErr)
	} else {
		b.file.Add(frozen, r.name, round, took.Microseconds(), "us", nil)
	}
	if err := b.domain(ctx, "resume"); err != nil {
		return err
	}
	if _, err := b.gone(ctx, c, begin); err != nil {
		return err
	}
	if r.name == ours {
		return b.ours.Delete(ctx, c.spec.NIC)
	}
	return nil
}

func (b *bench) domain(ctx context.Context, verb string) error {
	_, err := b.lab.Host().Run(ctx, "virsh", "-q", "-c", b.lab.Host().URI(), verb, b.node.Name)
	return err
}

// cycles plugs and unplugs one MAC over and over by the provider.
func (b *bench) cycles(ctx context.Context) error {
	b.opts.Tell("%d cycles of attach and detach of one MAC", b.opts.Cycles)
	c, err := b.newCard()
	if err != nil {
		return err
	}
	if _, err := b.ours.Create(ctx, c.spec); err != nil {
		return err
	}
	for round := range b.opts.Cycles {
		begin := time.Now()
		err := b.cycleOnce(ctx, c, round)
		b.file.Add(cycle, ours, round, time.Since(begin).Microseconds(), "us", err)
		if err != nil {
			return fmt.Errorf("cycle %d: %w", round, err)
		}
	}
	return b.ours.Delete(ctx, c.spec.NIC)
}

// cycleOnce demands that the guest and the domain have seen the card once each.
func (b *bench) cycleOnce(ctx context.Context, c card, round int) error {
	if err := b.plugIn(ctx, c); err != nil {
		return err
	}
	if _, err := b.watch.await(ctx, c.spec.MAC, true); err != nil {
		return err
	}
	if n, err := b.has(ctx, c.spec.MAC); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("the domain has it %d times, want once", n), err)
	}
	if err := b.unplug(ctx, c); err != nil {
		return err
	}
	if _, err := b.gone(ctx, c, time.Now()); err != nil {
		return err
	}
	if s, _ := b.watch.of(c.spec.MAC); s.comes != round+1 || s.leave != round+1 {
		return fmt.Errorf("the guest saw it come %d times and go %d times, want %d of each", s.comes, s.leave, round+1)
	}
	return nil
}
