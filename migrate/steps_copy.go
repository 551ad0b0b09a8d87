package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
)

// image gets the image to the target: out of its registry if that has it, or else
// from the source.
func (s *stepper) image(ctx context.Context, _ *nic.Move) error {
	m := s.journal.Move()
	for _, c := range m.Copies {
		if c.What != nic.StreamImage {
			continue
		}
		time := nic.Duration(copyTime(c.Bytes))
		if c.Pull {
			pull := nic.Task{Node: m.To, Kind: nic.TaskPull, Ref: c.Ref, Image: m.Image, Within: time}
			_, err := s.order(ctx, StepImage, pullWord, pull)
			if err == nil || ctx.Err() != nil || dead(err) || errors.Is(err, errSilent) {
				return err
			}
		}
		taken, err := s.carry(ctx, transfer{
			step: StepImage, part: 0,
			send: nic.Task{Kind: nic.TaskSend, What: c.What, Ref: m.Image, Container: m.Sandbox, Within: time},
			take: nic.Task{Kind: nic.TaskTake, What: c.What, Ref: m.Image, Total: c.Bytes, Within: time},
		})
		if err != nil {
			return fmt.Errorf("copy image %s: %w", m.ImageName, err)
		}
		return s.noteTaken(ctx, StepImage, 0, taken)
	}
	return nil
}

// volumes copies them one after the other.
func (s *stepper) volumes(ctx context.Context, _ *nic.Move) error {
	return s.copyAll(ctx, StepVolumes, nic.StreamVolume)
}

// layer copies what the container has written beside its volumes.
func (s *stepper) layer(ctx context.Context, _ *nic.Move) error {
	return s.copyAll(ctx, StepLayer, nic.StreamLayer)
}

func (s *stepper) copyAll(ctx context.Context, step string, what nic.StreamWhat) error {
	m, part, done := s.journal.Move(), 0, int64(0)
	for _, c := range m.Copies {
		if c.What != what {
			continue
		}
		take := c.Ref
		if what == nic.StreamLayer {
			take = m.TargetSandbox
		}
		time := nic.Duration(copyTime(c.Bytes))
		taken, err := s.carry(ctx, transfer{
			step: step, part: part, before: done,
			send: nic.Task{Kind: nic.TaskSend, What: what, Ref: c.Ref, Container: m.Sandbox, Within: time},
			take: nic.Task{Kind: nic.TaskTake, What: what, Ref: take, Container: m.TargetSandbox, Total: c.Bytes, Within: time},
		})
		if err != nil {
			return fmt.Errorf("copy %s %s: %w", what, c.Ref, err)
		}
		if err := s.noteTaken(ctx, step, done, taken); err != nil {
			return err
		}
		if taken.Result.Copied != nil {
			done += taken.Result.Copied.Bytes
		}
		part++
	}
	return nil
}

func (s *stepper) noteTaken(ctx context.Context, step string, before int64, taken nic.Task) error {
	if taken.Result.Copied == nil {
		return nil
	}
	return s.noteBytes(ctx, step, before+taken.Result.Copied.Bytes)
}
