package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// askTime is how long a node may take to say what a plan needs to know. The sizes
// of volumes are counted meanwhile.
const askTime = 20 * time.Second

// gather finds out what a plan is made of, when it is its turn. What a node does not
// say is in the facts and no error.
func (m *Mover) gather(ctx context.Context, turn chan struct{}, request nic.MoveRequest) (Facts, error) {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return Facts{}, ctx.Err()
	}
	g := gathering{m: m, facts: Facts{Request: request, Unsaid: map[string]string{}}, move: nic.NewMoveID()}
	if err := g.records(ctx); err != nil {
		return Facts{}, err
	}
	defer m.forget(ctx, g.move)
	g.ask(ctx)
	return g.facts, ctx.Err()
}

// A gathering is the questions of one plan. Its orders are those of a move that
// there never is.
type gathering struct {
	m     *Mover
	move  nic.MoveID
	mu    sync.Mutex // guards facts while nodes are asked
	facts Facts
}

// records reads what is known here.
func (g *gathering) records(ctx context.Context) (err error) {
	f, claims := &g.facts, g.m.opts.Claims
	if f.Claims, err = claims.OfContainer(ctx, f.Request.From, f.Request.Container); err != nil {
		return fmt.Errorf("find the container %q: %w", f.Request.Container, err)
	}
	nodes, err := claims.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	from := f.Request.From
	if len(f.Claims) > 0 {
		from = f.Claims[0].Owner.Node
	}
	f.From, f.To = named(nodes, from), named(nodes, f.Request.To)
	if len(f.Claims) > 0 && f.To != nil {
		if f.Room, err = claims.MoveRoom(ctx, claimIDs(f.Claims), f.To.Name); err != nil {
			return fmt.Errorf("find out what room there is on %s: %w", f.To.Name, err)
		}
	}
	drains, err := g.m.Drains(ctx)
	for _, d := range drains {
		f.Draining = append(f.Draining, d.Node)
	}
	return err
}

// ask asks both nodes at once, and then the target for what the container needs.
func (g *gathering) ask(ctx context.Context) {
	f := &g.facts
	if len(f.Claims) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		result := g.order(ctx, f.From, "describe", nic.Task{Kind: nic.TaskDescribe, Container: f.Claims[0].Owner.Sandbox})
		g.note(func() { f.Container, f.NoContainer = result.Container, result.Gone })
	})
	wg.Go(func() {
		result := g.order(ctx, f.From, "survey", nic.Task{Kind: nic.TaskSurvey, Seq: 1})
		g.note(func() { f.Here = result.Node })
	})
	if f.Request.Target != "" && f.Request.Kind == nic.MoveNIC {
		wg.Go(func() {
			result := g.order(ctx, f.To, "stand-by", nic.Task{Kind: nic.TaskDescribe, Container: f.Request.Target})
			g.note(func() { f.Target, f.NoTarget = result.Container, result.Gone })
		})
	}
	wg.Wait()
	if f.To == nil || f.From != nil && f.From.Name == f.To.Name {
		return
	}
	question := nic.Task{Kind: nic.TaskSurvey, Seq: 1}
	if c := f.Container; c != nil {
		question.Name, question.Ref, question.Networks = c.Name, c.ImageID, c.Networks
		for _, v := range c.Volumes {
			question.Volumes = append(question.Volumes, v.Name)
		}
	}
	f.There = g.order(ctx, f.To, "survey-target", question).Node
}

// order asks one node, if it takes orders at all. That there is no such container is
// an answer.
func (g *gathering) order(ctx context.Context, of *nic.Node, name string, question nic.Task) nic.TaskResult {
	if of == nil || of.Phase != nic.NodeReady || !of.Inventory.Moves {
		return nic.TaskResult{}
	}
	question.Schema, question.ID, question.Move = nic.Schema, nic.TaskID(string(g.move)+"."+name), g.move
	question.Node, question.Within, question.Created = of.Name, nic.Duration(askTime), time.Now().UTC()
	question.State = nic.TaskPending
	err := g.m.opts.Orders.Order(ctx, question)
	if err == nil {
		var task nic.Task
		if task, err = g.m.opts.Orders.Await(ctx, question.ID, nil); err == nil && (task.State == nic.TaskDone || task.Result.Gone) {
			return task.Result
		}
		if err == nil {
			err = errors.New(task.Error)
		}
	}
	g.note(func() { g.facts.Unsaid[of.Name] = clip(err.Error()) })
	return nic.TaskResult{}
}

func (g *gathering) note(fact func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fact()
}

// forget drops the orders of a move, also of one whose asker has gone.
func (m *Mover) forget(ctx context.Context, id nic.MoveID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := m.opts.Orders.Forget(ctx, id); err != nil {
		m.opts.Log.Warn("the questions of a plan stay in the store", "move", string(id), "error", err)
	}
}

func named(nodes []nic.Node, name string) *nic.Node {
	if i := slices.IndexFunc(nodes, func(n nic.Node) bool { return n.Name == name }); i >= 0 {
		return &nodes[i]
	}
	return nil
}

func claimIDs(claims []nic.Claim) []nic.ClaimID {
	ids := make([]nic.ClaimID, len(claims))
	for i, c := range claims {
		ids[i] = c.ID
	}
	return ids
}
