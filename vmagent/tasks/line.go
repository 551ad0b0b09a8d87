//go:build linux

package tasks

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A line is the tasks of one move that wait for their turn, and the one that is
// worked on.
type line struct {
	waiting map[nic.TaskID]nic.Task
	now     *work // nil for none
}

// work is a task that is worked on.
type work struct {
	task   nic.Task
	cancel context.CancelCauseFunc
	since  time.Time
}

// atWork is what is worked on at the moment.
func (r *Runner) atWork() map[nic.TaskID]*work {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := map[nic.TaskID]*work{}
	for _, l := range r.lines {
		if l.now != nil {
			at[l.now.task.ID] = l.now
		}
	}
	return at
}

// take has what is listed worked on. What was at work before the list was asked
// for and is not in it is over, whatever became of it here.
func (r *Runner) take(list []nic.Task, before map[nic.TaskID]*work) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.base == nil {
		return
	}
	listed := map[nic.TaskID]bool{}
	for _, task := range list {
		if task.State.Over() || task.Node != "" && task.Node != r.opts.Node {
			continue
		}
		listed[task.ID] = true
		r.queue(task)
	}
	for _, l := range r.lines {
		maps.DeleteFunc(l.waiting, func(id nic.TaskID, _ nic.Task) bool { return !listed[id] })
		if w := l.now; w != nil && !listed[w.task.ID] && before[w.task.ID] == w {
			w.cancel(errOver)
		}
	}
}

// queue puts a task in its move's line; a new line gets a goroutine.
func (r *Runner) queue(task nic.Task) {
	l := r.lines[task.Move]
	if l == nil {
		l = &line{waiting: map[nic.TaskID]nic.Task{}}
		r.lines[task.Move] = l
		base := r.base
		r.working.Go(func() { r.workOff(base, task.Move, l) })
	}
	if l.now == nil || l.now.task.ID != task.ID {
		l.waiting[task.ID] = task
	}
}

// workOff carries out a move's tasks, the lowest Seq first, until none waits.
func (r *Runner) workOff(base context.Context, move nic.MoveID, l *line) {
	for {
		ctx, w := r.next(base, move, l)
		if w == nil {
			return
		}
		r.carry(ctx, w.task)
		w.cancel(nil)
	}
}

// next takes the next task of a line; nil for none, and then the line is gone.
func (r *Runner) next(base context.Context, move nic.MoveID, l *line) (context.Context, *work) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.now = nil
	if len(l.waiting) == 0 || base.Err() != nil {
		delete(r.lines, move)
		return nil, nil
	}
	first := slices.MinFunc(slices.Collect(maps.Values(l.waiting)), func(a, b nic.Task) int {
		if a.Seq != b.Seq {
			if a.Seq < b.Seq {
				return -1
			}
			return 1
		}
		return len(a.ID) - len(b.ID)
	})
	delete(l.waiting, first.ID)
	ctx, cancel := context.WithCancelCause(base)
	l.now = &work{first, cancel, time.Now()}
	return ctx, l.now
}

// breakOff ends all work.
func (r *Runner) breakOff(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		clear(l.waiting)
		if l.now != nil {
			l.now.cancel(why)
		}
	}
}
