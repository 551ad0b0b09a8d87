//go:build linux

package tasks

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/nic"
)

// An engine does nothing but note what it was asked, unless a test has it do
// something before.
type engine struct {
	mu   sync.Mutex
	did  []string
	does map[string]func(ctx context.Context, task nic.Task) error // by task id or kind
	// data is what is sent; got what was taken.
	data io.Reader
	got  []byte
	size int64
}

func newEngine() *engine {
	return &engine{does: map[string]func(context.Context, nic.Task) error{}, data: strings.NewReader("")}
}

func (e *engine) note(ctx context.Context, task nic.Task) error {
	e.mu.Lock()
	do := e.does[string(task.ID)]
	if do == nil {
		do = e.does[string(task.Kind)]
	}
	e.mu.Unlock()
	if do != nil {
		if err := do(ctx, task); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.did = append(e.did, string(task.ID))
	return nil
}

func (e *engine) done() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.did)
}

func (e *engine) Describe(ctx context.Context, c string) (nic.ContainerFacts, error) {
	return nic.ContainerFacts{ID: c}, e.note(ctx, nic.Task{ID: "describe", Kind: nic.TaskDescribe})
}

func (e *engine) Survey(ctx context.Context, task nic.Task) (nic.NodeFacts, error) {
	return nic.NodeFacts{Docker: "20.10"}, e.note(ctx, task)
}

func (e *engine) Health(ctx context.Context, task nic.Task) error { return e.note(ctx, task) }
func (e *engine) Policy(ctx context.Context, task nic.Task) error { return e.note(ctx, task) }
func (e *engine) Stop(ctx context.Context, task nic.Task) error   { return e.note(ctx, task) }
func (e *engine) Start(ctx context.Context, task nic.Task) error  { return e.note(ctx, task) }
func (e *engine) Remove(ctx context.Context, task nic.Task) error { return e.note(ctx, task) }

func (e *engine) Create(ctx context.Context, task nic.Task, config []byte) (string, error) {
	e.mu.Lock()
	e.got = config
	e.mu.Unlock()
	return "c0ffee", e.note(ctx, task)
}

func (e *engine) Pull(ctx context.Context, task nic.Task, progress func(bytes, total int64)) error {
	progress(1, 2)
	return e.note(ctx, task)
}

func (e *engine) Send(ctx context.Context, task nic.Task) (io.ReadCloser, int64, error) {
	if both, ok := e.data.(io.ReadCloser); ok {
		return both, e.size, e.note(ctx, task)
	}
	return io.NopCloser(e.data), e.size, e.note(ctx, task)
}

func (e *engine) Take(ctx context.Context, task nic.Task, body io.Reader) error {
	got, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("half of it: %w", err)
	}
	e.mu.Lock()
	e.got = got
	e.mu.Unlock()
	return e.note(ctx, task)
}
