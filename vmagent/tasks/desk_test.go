//go:build linux

package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(labtest.Inside(m)) }

var (
	errConflicting = errors.New("conflict")
	errUnknown     = errors.New("not found")
	errLost        = errors.New("reply lost")
)

// A desk is a controller in memory: it keeps orders and joins streams.
type desk struct {
	mu       sync.Mutex
	session  uint64 // of the agent that counts
	tasks    map[nic.TaskID]*nic.Task
	streams  map[string]*pipe
	calls    map[string]int // by method
	begun    map[nic.TaskID]int
	progress []time.Time
	lives    int // signs of life
	// lose has the reply of the method's next calls lost, so many.
	lose map[string]int
	away bool
	// refuse has a result refused, whatever it is.
	refuse bool
}

type pipe struct {
	r         *io.PipeReader
	w         *io.PipeWriter
	sent      nic.Copied
	delivered chan error // the taker's end
}

func newDesk(list ...nic.Task) *desk {
	d := &desk{session: 1, tasks: map[nic.TaskID]*nic.Task{}, streams: map[string]*pipe{}, calls: map[string]int{}, begun: map[nic.TaskID]int{}, lose: map[string]int{}}
	for _, task := range list {
		d.order(task)
	}
	return d
}

// order gives a task as the controller would; what the test leaves out is usual.
func (d *desk) order(task nic.Task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if task.Node == "" {
		task.Node = "a"
	}
	if task.Move == "" {
		task.Move = "mov-1"
	}
	if task.State == "" {
		task.State = nic.TaskPending
	}
	if task.Within == 0 {
		task.Within = nic.Duration(time.Hour)
	}
	d.tasks[task.ID] = &task
	if task.Stream != "" && d.streams[task.Stream] == nil {
		r, w := io.Pipe()
		d.streams[task.Stream] = &pipe{r: r, w: w, delivered: make(chan error, 1)}
	}
}

// reply is how a call ends whose effect was err.
func (d *desk) reply(method string, err error) error {
	d.calls[method]++
	if err == nil && d.lose[method] > 0 {
		d.lose[method]--
		return errLost
	}
	return err
}

func (d *desk) task(id nic.TaskID) nic.Task {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *d.tasks[id]
}

// An agent's end of the desk: its session goes with all calls.
type wire struct {
	*desk
	session uint64
}

func (w *wire) stale() error {
	switch {
	case w.away:
		return errLost
	case w.session < w.desk.session:
		return errConflicting
	}
	return nil
}

func (w *wire) Tasks(_ context.Context, node string, session uint64) ([]nic.Task, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.stale(); err != nil {
		return nil, w.reply("tasks", err)
	}
	var list []nic.Task
	for _, id := range slices.Sorted(maps.Keys(w.tasks)) {
		if task := w.tasks[id]; task.Node == node && !task.State.Over() {
			list = append(list, *task)
		}
	}
	return list, w.reply("tasks", nil)
}

func (w *wire) BeginTask(_ context.Context, _ string, id nic.TaskID) (nic.Task, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	task := w.tasks[id]
	switch {
	case w.stale() != nil:
		return nic.Task{}, w.reply("begin", w.stale())
	case task == nil:
		return nic.Task{}, w.reply("begin", errUnknown)
	case task.State.Over():
		return nic.Task{}, w.reply("begin", errConflicting)
	}
	task.State, task.Session = nic.TaskRunning, w.session
	w.begun[id]++
	return *task, w.reply("begin", nil)
}

func (w *wire) ProgressTask(_ context.Context, _ string, id nic.TaskID, bytes, total int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.stale(); err != nil {
		return w.reply("progress", err)
	}
	if w.tasks[id] == nil {
		return w.reply("progress", errUnknown)
	}
	if bytes == 0 && total == 0 { // a sign of life
		w.lives++
		return w.reply("progress", nil)
	}
	w.tasks[id].Bytes, w.tasks[id].Total = bytes, total
	w.progress = append(w.progress, time.Now())
	return w.reply("progress", nil)
}

func (w *wire) FinishTask(_ context.Context, _ string, id nic.TaskID, why string, result nic.TaskResult) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	task := w.tasks[id]
	switch {
	case w.stale() != nil:
		return w.reply("finish", w.stale())
	case task == nil, w.refuse && why == "":
		return w.reply("finish", errUnknown)
	case task.State.Over():
		return w.reply("finish", nil)
	case task.Session != w.session:
		return w.reply("finish", errConflicting)
	}
	task.State, task.Error, task.Result = nic.TaskDone, why, result
	if why != "" {
		task.State = nic.TaskFailed
	}
	return w.reply("finish", nil)
}

func (w *wire) SendStream(ctx context.Context, _, stream string, body io.Reader) (nic.Copied, error) {
	w.mu.Lock()
	p := w.streams[stream]
	w.mu.Unlock()
	defer context.AfterFunc(ctx, func() { p.w.CloseWithError(ctx.Err()) })()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(p.w, sum), body)
	p.sent = nic.Copied{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}
	p.w.CloseWithError(err)
	if err != nil {
		return p.sent, fmt.Errorf("stream broken: %w", err)
	}
	return p.sent, <-p.delivered
}

func (w *wire) TakeStream(ctx context.Context, _, stream string, to io.Writer) (nic.Copied, error) {
	w.mu.Lock()
	p := w.streams[stream]
	w.mu.Unlock()
	defer context.AfterFunc(ctx, func() { p.r.CloseWithError(ctx.Err()) })()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), p.r)
	p.r.CloseWithError(err)
	p.delivered <- err
	return nic.Copied{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// start runs a Runner over the desk until stop, or the test's end.
func start(t *testing.T, d *desk, e *engine, change func(*Options)) (r *Runner, stop func() error) {
	t.Helper()
	o := Options{
		Node: "a", Controller: &wire{d, d.session}, Engine: e, Moves: true, Log: slog.New(slog.DiscardHandler),
		Superseded: func(err error) bool { return errors.Is(err, errConflicting) },
		Refused:    func(err error) bool { return errors.Is(err, errUnknown) },
	}
	if change != nil {
		change(&o)
	}
	session := d.session
	if w, ok := o.Controller.(*wire); ok {
		session = w.session
	}
	r = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	var ended error
	wg.Go(func() { ended = r.Follow(ctx, session) })
	stop = sync.OnceValue(func() error {
		cancel()
		wg.Wait()
		return ended
	})
	t.Cleanup(func() { _ = stop() })
	return r, stop
}

// bubble runs a test in a time of its own.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}
