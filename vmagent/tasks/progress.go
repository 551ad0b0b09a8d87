//go:build linux

package tasks

import (
	"context"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// tellEvery is how often progress is told, at most.
const tellEvery = 500 * time.Millisecond

// A teller tells the controller how far a copy is.
type teller struct {
	mu           sync.Mutex
	bytes, total int64
	stop         context.CancelFunc
	done         sync.WaitGroup
}

// tell begins to tell how far a task is, until end.
func (r *Runner) tell(ctx context.Context, id nic.TaskID) *teller {
	t := &teller{}
	ctx, t.stop = context.WithCancel(ctx)
	t.done.Go(func() {
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		var told, toldTotal int64
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			bytes, total := t.get()
			if bytes == told && total == toldTotal {
				continue
			}
			err := r.opts.Controller.ProgressTask(ctx, r.opts.Node, id, bytes, total)
			switch {
			case err == nil:
				told, toldTotal = bytes, total
			case r.opts.Superseded(err):
				r.Wake() // the list says whether it is still ours
			}
		}
	})
	return t
}

func (t *teller) get() (bytes, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes, t.total
}

// set notes how far it is.
func (t *teller) set(bytes, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes, t.total = bytes, total
}

// end waits until nothing more is told.
func (t *teller) end() {
	t.stop()
	t.done.Wait()
}

// liveEvery is how often the controller is told that a task is at work. It gives up
// a node that says nothing for some times as long.
const liveEvery = 3 * time.Second

// live tells the controller now and then that a task is at work, until rest.
func (r *Runner) live(ctx context.Context, id nic.TaskID) (rest func()) {
	ctx, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(liveEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			// What is wrong with the task is seen where its progress or its end is told.
			_ = r.opts.Controller.ProgressTask(ctx, r.opts.Node, id, 0, 0)
		}
	})
	return func() { stop(); done.Wait() }
}
