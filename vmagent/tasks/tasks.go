//go:build linux

// Package tasks carries out orders.
//
// An order is a nic.Task: the controller keeps it until the node has said how it
// went. A [Runner] begins each, so that nobody can cancel it any more, carries it
// out, and says so until the controller has heard it. All may happen twice, since
// an agent may die at any time; what is done already is no error.
package tasks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Controller is what a Runner asks of a controller. Every call may be repeated
// after a lost reply.
type Controller interface {
	// Tasks lists what is pending and running on the node. A newer session exists:
	// an error that Options.Superseded knows.
	Tasks(ctx context.Context, node string, session uint64) ([]nic.Task, error)
	// BeginTask makes a task running under the agent's session, also one that an
	// earlier session has begun. One that is over or cancelled is a conflict.
	BeginTask(ctx context.Context, node string, id nic.TaskID) (nic.Task, error)
	// ProgressTask says how much is copied; total is 0 where it is not known.
	ProgressTask(ctx context.Context, node string, id nic.TaskID, bytes, total int64) error
	// FinishTask says how it went; an empty why is success.
	FinishTask(ctx context.Context, node string, id nic.TaskID, why string, result nic.TaskResult) error
	// SendStream sends what body has, and returns when the node at the other end has
	// taken all of it. It closes a body that is an io.Closer when the stream breaks.
	SendStream(ctx context.Context, node, stream string, body io.Reader) (nic.Copied, error)
	// TakeStream writes to w what the other node sends. With an error what was
	// written is not the whole.
	TakeStream(ctx context.Context, node, stream string, w io.Writer) (nic.Copied, error)
}

// Options are the parts of a Runner.
type Options struct {
	Node       string     // required: the node's name
	Controller Controller // required
	Engine     Engine     // required
	// Moves: the node's owner allows orders. Without it each fails with words.
	Moves bool
	// Superseded says whether an error of the controller is a conflict: a newer
	// agent of the node has started, or the task is over. Required.
	Superseded func(error) bool
	// Refused says whether an error of the controller is its answer, and no
	// silence: the same call would get the same. Required.
	Refused func(error) bool
	Log     *slog.Logger // required
	// Parallel is how many moves are worked on at a time, not counting streams,
	// each of which waits for another node; default 8.
	Parallel int
}

// maxStreams bounds the streams of a node at a time.
const maxStreams = 64

// A Runner carries out a node's orders. Its methods may be called by any
// goroutine.
type Runner struct {
	opts    Options
	woken   chan struct{}
	quick   chan struct{} // a token for each task at work that is no stream
	streams chan struct{} // and for each that is one

	mu      sync.Mutex
	base    context.Context // of all tasks, while Run runs
	halt    context.CancelCauseFunc
	working sync.WaitGroup
	lines   map[nic.MoveID]*line
}

// New makes a Runner.
func New(o Options) *Runner {
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	return &Runner{
		opts: o, woken: make(chan struct{}, 1), lines: map[nic.MoveID]*line{},
		quick: make(chan struct{}, o.Parallel), streams: make(chan struct{}, maxStreams),
	}
}

// Why a task's work is broken off.
var (
	errEnded      = errors.New("the agent ends")
	errSuperseded = errors.New("another agent has started for this node")
	errOver       = errors.New("the controller wants it no more")
)

// Run lets orders be carried out until ctx ends, and returns when all work on
// them has. Unfinished ones are begun again by the next agent. It is called once.
func (r *Runner) Run(ctx context.Context) {
	base, halt := context.WithCancelCause(ctx)
	r.mu.Lock()
	r.base, r.halt = base, halt
	r.mu.Unlock()
	r.Wake()
	<-ctx.Done()
	halt(errEnded)
	r.mu.Lock()
	r.base = nil // nothing begins any more
	r.mu.Unlock()
	r.working.Wait()
}

// Busy says whether an order is being carried out.
func (r *Runner) Busy() bool { return len(r.atWork()) > 0 }

// Ends is since when the container with the id is being ended by an order; zero if it
// is not.
func (r *Runner) Ends(container string) time.Time {
	for _, w := range r.atWork() {
		if w.task.Kind == nic.TaskStop && w.task.Container == container {
			return w.since
		}
	}
	return time.Time{}
}

// Wake has the controller asked for orders soon. It never blocks.
func (r *Runner) Wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}
