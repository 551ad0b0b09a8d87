package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// restartsOff has the source's engine not start the container by itself: a stopped
// one of policy always comes back when its engine is started.
func (s *stepper) restartsOff(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	_, err := s.order(ctx, StepRestartsOff, StepRestartsOff, nic.Task{
		Node: m.From, Kind: nic.TaskPolicy, Container: m.Sandbox,
		Policy: nic.RestartPolicy{Name: "no"}, Within: nic.Duration(quickly),
	})
	return err
}

// undoRestartsOff gives the container its policy back. A machine that was started
// meanwhile has not brought it up, which that policy would have done.
func (s *stepper) undoRestartsOff(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	began, err := s.settle(ctx, StepRestartsOff)
	if err != nil || !began {
		return err
	}
	const word = "undo-" + StepRestartsOff
	_, err = s.order(ctx, StepRestartsOff, word, nic.Task{
		Node: m.From, Kind: nic.TaskPolicy, Container: m.Sandbox, Policy: m.Was, Within: nic.Duration(quickly),
	})
	if err == nil && !m.Stopped {
		_, err = s.orderPart(ctx, StepRestartsOff, word+"-start", 1, s.startOf(m.From, m.Sandbox))
	}
	if gone(err) {
		return nil
	}
	return parks(err)
}

func (s *stepper) startOf(node, container string) nic.Task {
	return nic.Task{Node: node, Kind: nic.TaskStart, Container: container, Within: nic.Duration(quickly)}
}

// create makes the container on the target, out of what the source's engine says
// of it. That goes by and is nowhere kept: there are secrets in it.
func (s *stepper) create(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	asks, err := s.asks(ctx, m)
	if err != nil {
		return err
	}
	made, err := s.carry(ctx, transfer{
		step: StepCreate,
		send: nic.Task{Kind: nic.TaskSend, What: nic.StreamConfig, Ref: m.Sandbox, Container: m.Sandbox, Within: nic.Duration(quickly)},
		take: nic.Task{
			Kind: nic.TaskCreate, What: nic.StreamConfig, Name: m.Target, Image: m.Image, Volumes: m.VolumesThere,
			NewVolumes: m.Volumes, Networks: m.Networks, Asks: asks,
			Policy: nic.RestartPolicy{Name: "no"}, Within: nic.Duration(quickly),
		},
	})
	if err != nil {
		return err
	}
	if made.Result.Made == "" {
		return fmt.Errorf("the agent of %s says that it has made %s, and not which one that is", m.To, m.Target)
	}
	if err := s.journal.Note(ctx, func(m *nic.Move) { m.TargetSandbox = made.Result.Made }); err != nil {
		return err
	}
	return s.aim(ctx, nil)
}

// asks are what the claims' labels ask for. The source must not have the target's node
// ask for more.
func (s *stepper) asks(ctx context.Context, m nic.Move) ([]nic.Request, error) {
	claims, err := s.Claims.OnNode(ctx, m.From)
	if err != nil {
		return nil, saga.Again(err)
	}
	var asks []nic.Request
	for _, c := range claims {
		if slices.Contains(m.Claims, c.ID) {
			asks = append(asks, nic.Request{Interface: c.Owner.Interface, Network: c.Request.Network, Tenant: c.Request.Tenant})
		}
	}
	return asks, nil
}

// uncreate removes it again, with the volumes that were made for it. On a machine
// that is off that is done when it is on again: the container has never run there,
// and does not start by itself.
func (s *stepper) uncreate(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	began, err := s.settle(ctx, StepCreate, s.wordsOf(StepCreate)...)
	if err != nil || !began {
		return err
	}
	_, err = s.order(ctx, StepCreate, "undo-"+StepCreate, nic.Task{
		Node: m.To, Kind: nic.TaskRemove, Container: m.TargetSandbox, Volumes: m.Volumes, Within: nic.Duration(quickly), Outlives: true,
	})
	switch {
	case gone(err):
		return nil
	case dead(err):
		left := fmt.Sprintf("container %s on %s is removed when that machine is on again", m.Target, m.To)
		return s.journal.Note(ctx, func(m *nic.Move) {
			if !slices.Contains(m.Left, left) {
				m.Left = append(m.Left, left)
			}
		})
	}
	return parks(err)
}

// stop ends the container on the source. It is done when that says so, or when
// nothing can run there.
func (s *stepper) stop(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	if m.SilentFrom.IsZero() && !m.Stopped {
		if err := s.journal.Note(ctx, func(m *nic.Move) { m.SilentFrom = time.Now() }); err != nil {
			return err
		}
	}
	_, err := s.order(ctx, StepStop, StepStop, s.stopOf(m, m.From, m.Sandbox))
	if gone(err) || dead(err) {
		return nil
	}
	return err
}

func (s *stepper) stopOf(m nic.Move, node, container string) nic.Task {
	return nic.Task{Node: node, Kind: nic.TaskStop, Container: container, Grace: m.Grace, Within: nic.Duration(stopTime(m))}
}

// unstop starts it again where it was, and waits until its NICs are in. The
// target's does not run any more: the steps after this one are undone.
func (s *stepper) unstop(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	began, err := s.settle(ctx, StepStop)
	if err != nil || m.Stopped {
		return err
	}
	at, err := s.Claims.Whereabouts(ctx, m.Claims)
	if err != nil {
		return err
	}
	if !began && allIn(at, m.From) {
		return nil
	}
	_, err = s.order(ctx, StepStop, "undo-"+StepStop, s.startOf(m.From, m.Sandbox))
	if gone(err) {
		return nil // somebody has removed it, and wants no container
	}
	if err != nil {
		return parks(err)
	}
	err = s.awaitNICs(ctx, m, m.From, "in again on "+m.From, func(at []nic.Whereabouts) bool { return allBack(at, m.From) })
	if err != nil {
		return parks(err)
	}
	return s.journal.Note(ctx, func(m *nic.Move) { m.SilentTo = time.Now() })
}

func (s *stepper) start(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	_, err := s.order(ctx, StepStart, StepStart, s.startOf(m.To, m.TargetSandbox))
	return err
}

// unstart ends the target's container. Only the target's word that it does not
// run, or that nothing can run there, lets the source's be started again.
func (s *stepper) unstart(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	began, err := s.settle(ctx, StepStart)
	if err != nil || !began {
		return err
	}
	_, err = s.order(ctx, StepStart, "undo-"+StepStart, s.stopOf(m, m.To, m.TargetSandbox))
	if gone(err) || dead(err) {
		return nil
	}
	return parks(err)
}

func (s *stepper) health(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	_, err := s.order(ctx, StepHealth, StepHealth, nic.Task{
		Node: m.To, Kind: nic.TaskHealth, Container: m.TargetSandbox, Within: m.Options.Wait,
	})
	return err
}

// restartsOn gives the target's container the policy that the source's had. A
// machine that was started meanwhile has not brought it up, which that would have.
func (s *stepper) restartsOn(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	err := s.orderForEver(ctx, StepRestartsOn, m.To, nic.Task{
		Node: m.To, Kind: nic.TaskPolicy, Container: m.TargetSandbox, Policy: m.Was, Within: nic.Duration(quickly),
	})
	if err != nil || m.Stopped {
		return err
	}
	_, err = s.orderPart(ctx, StepRestartsOn, StepRestartsOn+"-start", 1, s.startOf(m.To, m.TargetSandbox))
	if gone(err) || err != nil && s.givenUp(ctx, m.To, err) {
		return nil
	}
	return err
}

// drop removes the source's container. It may be given NICs anew then.
func (s *stepper) drop(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	err := s.orderForEver(ctx, StepDrop, m.From, nic.Task{
		Node: m.From, Kind: nic.TaskRemove, Container: m.Sandbox, Leave: m.Options.Volumes == nic.CopyIgnore, Within: nic.Duration(quickly),
	})
	if err != nil {
		return err
	}
	return s.Claims.ForgetMoved(ctx, m.From, m.Sandbox)
}

// orderForEver orders what is tried until it is done. It is done as well when the
// container or its node are no more. What was ordered before is forgotten, so that
// a node which is away for months leaves no heap of orders.
func (s *stepper) orderForEver(ctx context.Context, step, node string, task nic.Task) error {
	m := s.journal.Move()
	if try := tries(m, step); try > 1 {
		if _, err := s.withdraw(ctx, step, try-1, false); err != nil {
			return err
		}
		if err := s.Orders.Forget(ctx, m.ID); err != nil {
			return err
		}
	}
	_, err := s.order(ctx, step, step, task)
	if gone(err) || err != nil && s.givenUp(ctx, node, err) {
		return nil
	}
	return err
}

// givenUp: an operator has said that the node does not come back.
func (s *stepper) givenUp(ctx context.Context, node string, err error) bool {
	record, unknown := s.Claims.Node(ctx, node)
	return dead(err) && (unknown != nil || record.Phase == nic.NodeLost) && !errors.Is(unknown, context.Canceled)
}
