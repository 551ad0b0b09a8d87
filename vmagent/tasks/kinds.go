//go:build linux

package tasks

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
)

// do carries out one task. sure is asked right before what cannot be taken back.
func (r *Runner) do(ctx context.Context, task nic.Task, sure func() error) (result nic.TaskResult, err error) {
	switch task.Kind {
	case nic.TaskDescribe:
		facts, err := r.opts.Engine.Describe(ctx, task.Container)
		if err == nil {
			result.Container = &facts
		}
		return result, err
	case nic.TaskSurvey:
		facts, err := r.opts.Engine.Survey(ctx, task)
		if err == nil {
			facts.Moves = r.opts.Moves
			result.Node = &facts
		}
		return result, err
	case nic.TaskHealth:
		return result, r.opts.Engine.Health(ctx, task)
	case nic.TaskPull:
		told := r.tell(ctx, task.ID)
		defer told.end()
		return result, r.opts.Engine.Pull(ctx, task, told.set)
	case nic.TaskSend:
		result.Copied, err = r.send(ctx, task)
		return result, err
	}
	if err := sure(); err != nil {
		return result, err
	}
	switch task.Kind {
	case nic.TaskPolicy:
		err = r.opts.Engine.Policy(ctx, task)
	case nic.TaskStop:
		err = r.opts.Engine.Stop(ctx, task)
	case nic.TaskStart:
		err = r.opts.Engine.Start(ctx, task)
	case nic.TaskRemove:
		err = r.opts.Engine.Remove(ctx, task)
	case nic.TaskCreate:
		result.Made, err = r.create(ctx, task, sure)
	case nic.TaskTake:
		result.Copied, err = r.accept(ctx, task, sure)
	default:
		err = fmt.Errorf("%q: %w, this agent may be older than its controller", task.Kind, errUnknownKind)
	}
	return result, err
}

var errUnknownKind = errors.New("no kind of task that is known here")
