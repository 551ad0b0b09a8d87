//go:build linux

package tasks

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// knownFor is how long after the controller's word an effect may begin. Later, as
// after this process was stopped and woken, it is asked once more.
const knownFor = time.Second

// maxWhy bounds the bytes of what is said of a task that has failed.
const maxWhy = 2000

// errConflict: the controller says that the task is no more this agent's to do.
var errConflict = errors.New("the task is over, or another agent's")

// carry begins a task, carries it out, and says how it went, unless ctx ends.
func (r *Runner) carry(ctx context.Context, task nic.Task) {
	log := r.opts.Log.With("task", task.ID, "kind", task.Kind, "move", task.Move, "claim", join(task.Claims))
	slots := r.quick
	if task.Stream != "" {
		slots = r.streams
	}
	select {
	case <-ctx.Done():
		return
	case slots <- struct{}{}:
	}
	defer func() { <-slots }()
	begun, known, err := r.begin(ctx, task.ID)
	if err != nil {
		log.Debug("task not begun", "err", err)
		return
	}
	start := time.Now()
	rest := r.live(ctx, task.ID)
	result, err := r.within(ctx, begun, known)
	rest()
	switch {
	case ctx.Err() != nil:
		log.Warn("task broken off", "why", context.Cause(ctx))
		return // the next agent begins it again, or nobody wants it
	case errors.Is(err, errConflict):
		log.Warn("task not carried out", "err", err)
		return
	case err != nil:
		result.Again, result.Gone = mayPass(err), isGone(begun, err)
		log.Warn("task failed", "container", begun.Container, "took", time.Since(start), "again", result.Again, "err", err)
	default:
		log.Info("task done", "container", begun.Container, "took", time.Since(start))
	}
	why := ""
	if err != nil {
		why = strings.ToValidUTF8(err.Error(), "?")
		why = strings.ToValidUTF8(why[:min(len(why), maxWhy)], "")
	}
	r.finish(ctx, task.ID, why, result)
}

// begin makes the task running, however long the controller takes to answer.
// known is when it was asked.
func (r *Runner) begin(ctx context.Context, id nic.TaskID) (task nic.Task, known time.Time, err error) {
	err = r.persist(ctx, func(ctx context.Context) error {
		known = time.Now()
		task, err = r.opts.Controller.BeginTask(ctx, r.opts.Node, id)
		return err
	})
	return task, known, err
}

// finish says how a task went, however long the controller takes to answer. One
// that a session of before has begun is taken over first.
func (r *Runner) finish(ctx context.Context, id nic.TaskID, why string, result nic.TaskResult) {
	tell := func(ctx context.Context) error {
		return r.opts.Controller.FinishTask(ctx, r.opts.Node, id, why, result)
	}
	err := r.persist(ctx, tell)
	switch {
	case errors.Is(err, errConflict):
		if _, _, err = r.begin(ctx, id); err == nil {
			err = r.persist(ctx, tell)
		}
	case err != nil && why == "" && ctx.Err() == nil: // better an error than no answer
		why, result = fmt.Sprintf("the controller does not take the result: %v", err), nic.TaskResult{}
		err = r.persist(ctx, tell)
	}
	if err != nil {
		r.opts.Log.Debug("how a task went is not asked any more", "task", id, "err", err)
	}
}

// persist asks until the controller has answered, or ctx ends. A conflict has the
// list of orders read afresh: it says whether this agent is superseded.
func (r *Runner) persist(ctx context.Context, ask func(context.Context) error) error {
	backoff := retry.Backoff{First: 50 * time.Millisecond, Max: 5 * time.Second}
	for {
		err := ask(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case r.opts.Superseded(err):
			r.Wake()
			return fmt.Errorf("%w: %w", errConflict, err)
		case r.opts.Refused(err):
			return err
		}
		r.opts.Log.Debug("controller does not answer, will ask again", "err", err)
		if retry.Sleep(ctx, backoff.Next()) != nil {
			return context.Cause(ctx)
		}
	}
}

// errLate: a task was not carried out in its time.
var errLate = errors.New("not done in time")

// within carries a task out in its time. known is when the controller was asked
// whether it is still to be done.
func (r *Runner) within(ctx context.Context, task nic.Task, known time.Time) (result nic.TaskResult, err error) {
	if !r.opts.Moves {
		return result, fmt.Errorf("node %s carries out no orders: set moves: true in agent.yaml of %s, and restart its agent", r.opts.Node, r.opts.Node)
	}
	if task.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, task.Within.D(), fmt.Errorf("%s: %w, which is %s", task.Kind, errLate, task.Within.D()))
		defer cancel()
	}
	sure := func() error {
		if !askFirst || time.Since(known) < knownFor {
			return ctx.Err()
		}
		_, at, err := r.begin(ctx, task.ID)
		known = at
		return err
	}
	err = r.guarded(task, func() error {
		var err error
		result, err = r.do(ctx, task, sure)
		return err
	})
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errLate) && !errors.Is(err, errLate) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return result, err
}

// guarded makes an error of a panic: one task must not end the agent.
func (r *Runner) guarded(task nic.Task, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.opts.Log.Error("task panics", "task", task.ID, "move", task.Move, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s of %s: the agent of node %s has a fault, see its log", task.Kind, task.Move, r.opts.Node)
		}
	}()
	return do()
}

// mayPass says whether the same order may succeed if it is given again.
func mayPass(err error) bool {
	return errors.Is(err, errLate) || errors.Is(err, errStream) || containers.Passing(err)
}

// isGone says whether the task failed since there is no such container.
func isGone(task nic.Task, err error) bool {
	switch {
	case task.Kind == nic.TaskPull, task.Kind == nic.TaskSurvey, task.What == nic.StreamImage, task.What == nic.StreamVolume:
		return false // what is missing is something else
	}
	return errors.Is(err, containers.ErrNotFound)
}

func join(ids []nic.ClaimID) string {
	var all []string
	for _, id := range ids {
		all = append(all, string(id))
	}
	return strings.Join(all, ",")
}
