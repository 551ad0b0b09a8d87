package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/migrate"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// A depot is a world in which moves have three steps of a second each, which act
// on where a container is said to be: load, pivot and sweep.
type depot struct {
	t     *testing.T
	store *memstore.Store

	mu     sync.Mutex // guards what follows
	nodes  map[string]nic.Node
	free   map[string]int // slots, by node
	claims map[nic.ClaimID]nic.Claim
	facts  map[string]nic.ContainerFacts // by name
	parked map[nic.MoveID]string
	loaded map[nic.MoveID]bool
	fails  map[string]error // by container and step, such as "web load" or "web undo-load"
	busy   map[string]int   // moves at work, by node that they come from
	most   map[string]int
	news   []string
	counts []string
	forgot []nic.MoveID
}

func newDepot(t *testing.T, nodes ...string) *depot {
	d := &depot{
		t: t, store: memstore.New(memstore.Options{}), nodes: map[string]nic.Node{}, free: map[string]int{},
		claims: map[nic.ClaimID]nic.Claim{}, facts: map[string]nic.ContainerFacts{}, parked: map[nic.MoveID]string{},
		loaded: map[nic.MoveID]bool{}, fails: map[string]error{}, busy: map[string]int{}, most: map[string]int{},
	}
	for i, n := range nodes {
		d.nodes[n] = nic.Node{Name: n, Phase: nic.NodeReady, Inventory: nic.Inventory{Moves: true}}
		d.free[n] = 10 + i
	}
	t.Cleanup(func() { _ = d.store.Close() })
	return d
}

// put puts a container on a node.
func (d *depot) put(container, node string) nic.ClaimID {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := nic.ClaimID("clm-" + container)
	d.claims[id] = nic.Claim{
		ID: id, Container: container, Phase: nic.ClaimBound, NIC: nic.ID("nic-" + container),
		Owner: nic.Owner{Node: node, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%x", container), Interface: "eth0"},
	}
	d.facts[container] = nic.ContainerFacts{ID: fmt.Sprintf("%x", container), Name: container, Running: true, NetworkMode: "none"}
	return id
}

func (d *depot) at(container string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims[nic.ClaimID("clm-"+container)].Owner.Node
}

// shown is why the claims of a move say that it is parked.
func (d *depot) shown(id nic.MoveID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.parked[id]
}

func (d *depot) fail(what string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails[what] = err
}

func (d *depot) OfContainer(_ context.Context, node, container string) (all []nic.Claim, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.claims {
		if (c.Container == container || c.Owner.Sandbox == container) && (node == "" || c.Owner.Node == node) {
			all = append(all, c)
		}
	}
	return all, nil
}

func (d *depot) OnNode(_ context.Context, node string) (all []nic.Claim, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.claims {
		if c.Owner.Node == node {
			all = append(all, c)
		}
	}
	return all, nil
}

func (d *depot) MoveRoom(_ context.Context, ids []nic.ClaimID, to string) (room nic.MoveRoom, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		room.NICs = append(room.NICs, nic.PlannedNIC{Claim: id, NIC: d.claims[id].NIC, Travel: "carry"})
	}
	if room.Free = d.free[to] - len(ids); room.Free < 0 {
		room.Refusals = []nic.MoveRefusal{{About: "slots", Why: "no slot is free on " + to}}
	}
	return room, nil
}

func (d *depot) ParkMove(_ context.Context, move nic.MoveID, _ []nic.ClaimID, why string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parked[move] = why
	return nil
}

func (d *depot) Node(_ context.Context, name string) (nic.Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.nodes[name]
	if !ok {
		return n, errors.New("no such node")
	}
	return n, nil
}

func (d *depot) Nodes(context.Context) (all []nic.Node, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.nodes {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b nic.Node) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// desk answers what plans ask.
type desk struct {
	*depot
	migrate.Orders // what steps alone ask
}

// Await answers at once, by the name in the task's id.
func (d desk) Await(ctx context.Context, id nic.TaskID, _ func(nic.Task)) (nic.Task, error) {
	task, _, err := store.GetJSON[nic.Task](ctx, d.store, "desk/"+string(id))
	if err != nil {
		return task, err
	}
	task.State = nic.TaskDone
	d.mu.Lock()
	defer d.mu.Unlock()
	switch task.Kind {
	case nic.TaskDescribe:
		task.State, task.Error, task.Result.Gone = nic.TaskFailed, "no such container", true
		for _, f := range d.facts {
			if f.ID == task.Container {
				task.State, task.Error, task.Result = nic.TaskDone, "", nic.TaskResult{Container: &f}
			}
		}
	case nic.TaskSurvey:
		task.Result.Node = &nic.NodeFacts{Moves: true, HasImage: true, Memory: 1 << 30, Disk: 1 << 40}
	}
	return task, nil
}

func (d desk) Order(ctx context.Context, task nic.Task) error {
	op, err := store.CreateJSON("desk/"+string(task.ID), task)
	if err != nil {
		return err
	}
	_, err = d.store.Commit(ctx, op)
	return err
}

func (d desk) Forget(_ context.Context, id nic.MoveID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgot = append(d.forgot, id)
	return nil
}

// claimsOf are the depot's as a Mover sees them.
type claimsOf struct {
	migrate.Claims // what steps alone ask
	d              *depot
}

func (c claimsOf) OfContainer(ctx context.Context, node, container string) ([]nic.Claim, error) {
	return c.d.OfContainer(ctx, node, container)
}

func (c claimsOf) OnNode(ctx context.Context, node string) ([]nic.Claim, error) {
	return c.d.OnNode(ctx, node)
}

func (c claimsOf) MoveRoom(ctx context.Context, ids []nic.ClaimID, to string) (nic.MoveRoom, error) {
	return c.d.MoveRoom(ctx, ids, to)
}

func (c claimsOf) ParkMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, why string) error {
	return c.d.ParkMove(ctx, move, ids, why)
}

func (c claimsOf) Node(ctx context.Context, name string) (nic.Node, error) {
	return c.d.Node(ctx, name)
}
func (c claimsOf) Nodes(ctx context.Context) ([]nic.Node, error) { return c.d.Nodes(ctx) }

type noStreams struct{}

func (noStreams) Open(string, string) (string, func()) { return "none", func() {} }

// mover makes a Mover on the depot, as a controller does when it starts.
func (d *depot) mover() *migrate.Mover {
	d.t.Helper()
	m, err := migrate.New(migrate.Options{
		Store: d.store, Parts: migrate.Parts{Claims: claimsOf{d: d}, Orders: desk{depot: d}, Streams: noStreams{}},
		Log: slog.New(slog.DiscardHandler), Events: d, Observer: d, Steps: d.steps,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

// running makes a Mover and lets it work until the returned function is called.
func (d *depot) running() (m *migrate.Mover, end func()) {
	m = d.mover()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- m.Run(ctx) }()
	return m, func() {
		cancel()
		if err := <-over; err != nil {
			d.t.Errorf("the mover ended: %v", err)
		}
	}
}

// steps are the depot's own, in place of those that the plan has named.
func (d *depot) steps(_ migrate.Parts, j migrate.Journal) []saga.Step[nic.Move] {
	var steps []saga.Step[nic.Move]
	for _, s := range j.Move().Steps {
		if s.Name == "teleport" {
			continue // as Steps does with those of another release
		}
		step := saga.Step[nic.Move]{Name: s.Name, Pivot: s.Pivot, Do: d.nothing}
		switch s.Name {
		case migrate.StepFence:
			step.Do, step.Undo = d.do("load", d.load(true)), d.do("undo-load", d.load(false))
			step.Remedy = func(m *nic.Move) string { return "mend " + m.Container }
		case migrate.StepPivot:
			step.Do = d.do("pivot", func(m *nic.Move) {
				for _, id := range m.Claims {
					c := d.claims[id]
					d.free[c.Owner.Node]++
					d.free[m.To]--
					c.Owner.Node = m.To
					d.claims[id] = c
				}
			})
		case migrate.StepDrop:
			step.Do = d.do("sweep", func(*nic.Move) {})
		}
		steps = append(steps, step)
	}
	return steps
}

func (d *depot) nothing(ctx context.Context, _ *nic.Move) error { return ctx.Err() }

func (d *depot) load(is bool) func(*nic.Move) {
	return func(m *nic.Move) { d.loaded[m.ID] = is }
}

// do takes a second and then has its effect, or fails.
func (d *depot) do(name string, effect func(*nic.Move)) func(context.Context, *nic.Move) error {
	return func(ctx context.Context, m *nic.Move) error {
		d.mu.Lock()
		d.busy[m.From]++
		d.most[m.From] = max(d.most[m.From], d.busy[m.From])
		d.mu.Unlock()
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.busy[m.From]--
		}()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if err := d.fails[m.Container+" "+name]; err != nil {
			return err
		}
		effect(m)
		return nil
	}
}

func (d *depot) Add(e api.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.news = append(d.news, string(e.Type)+" "+string(e.Reason))
}

func (d *depot) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts = append(d.counts, fmt.Sprintf(format, args...))
}

func (d *depot) Moved(result string) { d.note("moved %s", result) }

func (d *depot) MoveStepped(step, result string, took time.Duration) {
	if step == migrate.StepFence || step == migrate.StepPivot {
		d.note("%s %s %v", step, result, took)
	}
}
func (d *depot) MoveSilent(took time.Duration)        { d.note("silent %v", took) }
func (d *depot) MoveCopied(what string, bytes int64)  { d.note("copied %s %d", what, bytes) }
func (d *depot) request(c, to string) nic.MoveRequest { return nic.MoveRequest{Container: c, To: to} }

// await waits for a move to be as wanted.
func (d *depot) await(m *migrate.Mover, id nic.MoveID, phase nic.MovePhase) nic.Move {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var rev uint64
	for {
		move, now, err := m.WaitMove(ctx, id, rev)
		if err != nil {
			got, _, _ := m.Move(context.Background(), id)
			d.t.Fatalf("move %s is %s (%s) and not %s: %v", id, got.Phase, got.Why, phase, err)
		}
		if move.Phase == phase {
			synctest.Wait() // until the claims show it too
			return move
		}
		rev = now
	}
}

// clean checks that nothing is left of moves that are over but their records.
func (d *depot) clean() {
	d.t.Helper()
	for _, prefix := range []string{"moveask/", "moveclaim/"} {
		left, _, err := d.store.List(context.Background(), prefix, "", 0)
		if err != nil || len(left) > 0 {
			d.t.Errorf("%d records are left under %s, %v", len(left), prefix, err)
		}
	}
}

func inDepot(t *testing.T, test func(t *testing.T, d *depot), nodes ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newDepot(t, nodes...)) })
}
