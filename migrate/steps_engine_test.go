//go:build linux

package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// A box is a container.
type box struct {
	id, name string
	running  bool
	policy   string
	move     nic.MoveID // that has made it
	volumes  []string
	layer    string
}

// An engine is a node's container engine. It outlives the node's agent, and what is
// on its disk outlives the loss of power.
type engine struct {
	t    *testing.T
	node string
	// seen is told of each change, with the lock held; fault is asked before and
	// after each order.
	seen  func()
	fault func(nic.Task, bool) error
	mu    *sync.Mutex // one for all engines

	boxes   map[string]*box // by id
	volumes map[string]string
	owned   map[string]nic.MoveID // who has made a volume
	images  map[string]bool
	made    int
}

var errNoContainer = containers.ErrNotFound

// find returns the container of an order.
func (e *engine) find(task nic.Task) (*box, error) {
	for _, b := range e.boxes {
		if b.id == task.Container || b.name == task.Container || task.Container == "" && b.move == task.Move {
			return b, nil
		}
	}
	return nil, errNoContainer
}

// do carries out an order, between the faults.
func (e *engine) do(ctx context.Context, task nic.Task, effect func() error) error {
	if err := e.fault(task, false); err != nil {
		return err
	}
	select { // an engine takes its time
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(50 * time.Millisecond):
	}
	e.mu.Lock()
	err := ctx.Err()
	if err == nil {
		err = effect()
	}
	e.seen()
	e.mu.Unlock()
	if err != nil {
		return err
	}
	return e.fault(task, true)
}

func (e *engine) on(ctx context.Context, task nic.Task, change func(*box)) error {
	return e.do(ctx, task, func() error {
		b, err := e.find(task)
		if err == nil {
			change(b)
		}
		return err
	})
}

func (e *engine) Describe(_ context.Context, name string) (nic.ContainerFacts, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, err := e.find(nic.Task{Container: name})
	if err != nil {
		return nic.ContainerFacts{}, err
	}
	facts := nic.ContainerFacts{
		ID: b.id, Name: b.name, Image: "web:1", ImageID: "sha256:1", Size: 3 * mib, Running: b.running,
		Policy: nic.RestartPolicy{Name: b.policy}, Grace: nic.Duration(2 * time.Second), NetworkMode: "none", Health: true,
	}
	for _, v := range b.volumes {
		facts.Volumes = append(facts.Volumes, nic.VolumeFacts{Name: v, Driver: "local", Target: "/" + v, Bytes: int64(len(e.volumes[v]))})
	}
	if b.layer != "" {
		facts.Written, facts.WrittenBytes = 1, int64(len(b.layer))
	}
	return facts, nil
}

func (e *engine) Survey(_ context.Context, task nic.Task) (nic.NodeFacts, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	facts := nic.NodeFacts{Arch: "amd64", OS: "linux", Driver: "overlay2", Memory: 1 << 40, Disk: 1 << 40, HasImage: e.images[task.Ref]}
	for _, b := range e.boxes {
		facts.NameUsed = facts.NameUsed || b.name == task.Name
	}
	facts.Volumes = slices.DeleteFunc(slices.Clone(task.Volumes), func(v string) bool { _, has := e.volumes[v]; return !has })
	return facts, nil
}

func (e *engine) Health(ctx context.Context, task nic.Task) error {
	return e.on(ctx, task, func(b *box) {
		if !b.running {
			e.t.Errorf("%s is asked for its health and does not run", b.name)
		}
	})
}

func (e *engine) Policy(ctx context.Context, task nic.Task) error {
	return e.on(ctx, task, func(b *box) { b.policy = task.Policy.Name })
}

// Create needs what came, and of that nothing may be in a record.
func (e *engine) Create(ctx context.Context, task nic.Task, config []byte) (id string, err error) {
	err = e.do(ctx, task, func() error {
		if b, err := e.find(nic.Task{Move: task.Move}); err == nil {
			id = b.id
			return nil
		}
		lines := strings.Split(string(config), "\n")
		if lines[0] != secret {
			return fmt.Errorf("the configuration has %d lines and is none", len(lines))
		}
		e.made++
		id = sandbox(fmt.Sprintf("b%03x", e.made))
		e.boxes[id] = &box{id: id, name: task.Name, policy: task.Policy.Name, move: task.Move, volumes: lines[1:]}
		for _, v := range lines[1:] {
			if _, there := e.volumes[v]; !there {
				e.volumes[v], e.owned[v] = "", task.Move
			}
		}
		return nil
	})
	return id, err
}

func (e *engine) Stop(ctx context.Context, task nic.Task) error {
	err := e.on(ctx, task, func(b *box) { b.running = false })
	if errors.Is(err, errNoContainer) {
		return nil
	}
	return err
}

func (e *engine) Start(ctx context.Context, task nic.Task) error {
	return e.on(ctx, task, func(b *box) { b.running = true })
}

func (e *engine) Remove(ctx context.Context, task nic.Task) error {
	return e.do(ctx, task, func() error {
		if b, err := e.find(task); err == nil {
			delete(e.boxes, b.id)
		}
		for _, v := range task.Volumes {
			if e.owned[v] == task.Move {
				delete(e.volumes, v)
			}
		}
		return nil
	})
}

func (e *engine) Pull(context.Context, nic.Task, func(int64, int64)) error {
	return errors.New("there is no registry")
}

// secret stands for the environment of a container.
const secret = "PASSWORD=horse"

func (e *engine) Send(ctx context.Context, task nic.Task) (io.ReadCloser, int64, error) {
	var text string
	err := e.on(ctx, task, func(b *box) {
		switch task.What {
		case nic.StreamConfig:
			text = strings.Join(append([]string{secret}, b.volumes...), "\n")
		case nic.StreamVolume:
			text = e.volumes[task.Ref]
		case nic.StreamLayer:
			text = b.layer
		case nic.StreamImage:
			text = strings.Repeat("i", mib)
		}
	})
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), err
}

func (e *engine) Take(ctx context.Context, task nic.Task, body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if task.What == nic.StreamImage {
		return e.do(ctx, task, func() error { e.images[task.Ref] = true; return nil })
	}
	return e.on(ctx, task, func(b *box) {
		if b.running {
			e.t.Errorf("%s is written to while it runs", b.name)
		}
		if task.What == nic.StreamVolume {
			e.volumes[task.Ref] = string(text)
		} else {
			b.layer = string(text)
		}
	})
}

// off loses the power, on has it back: containers that are to come back do.
func (e *engine) off() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.boxes {
		b.running = false
	}
}

func (e *engine) on2() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.boxes {
		b.running = b.policy == "always"
	}
	e.seen()
}

// runs are the ids of those that run.
func (e *engine) runs() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(e.boxes)), func(id string) bool { return !e.boxes[id].running })
}
