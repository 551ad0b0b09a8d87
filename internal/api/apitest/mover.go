package apitest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A Mover keeps moves and drains in memory. It moves nothing by itself: a test
// says with Put how far a move is, and who waits for it learns that.
type Mover struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced with every revision
	revision uint64
	moves    map[nic.MoveID]api.MoveView
	drains   map[string]nic.Drain
	against  []nic.MoveRefusal
	script   []func(*nic.Move)
	lazy     bool
	waiting  int
	came     chan struct{} // closed and replaced when somebody waits
}

// NewMover makes one without moves.
func NewMover() *Mover {
	return &Mover{changed: make(chan struct{}), came: make(chan struct{}), revision: 1, moves: map[nic.MoveID]api.MoveView{}, drains: map[string]nic.Drain{}}
}

// Refuse has the reasons stand against all moves from then on.
func (m *Mover) Refuse(against ...nic.MoveRefusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.against = against
}

// Lazy leaves it to Put what comes of what is asked of moves.
func (m *Mover) Lazy() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lazy = true
}

// Play is what becomes of each move that is begun from then on: each time that
// somebody waits for it, the next step is taken.
func (m *Mover) Play(steps ...func(*nic.Move)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script = steps
}

// Put stores a move as it is.
func (m *Mover) Put(move nic.Move) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(move)
}

// put stores a move and wakes who waits; the caller holds the lock.
func (m *Mover) put(move nic.Move) {
	m.revision++
	move.Steps = slices.Clone(move.Steps)
	m.moves[move.ID] = api.MoveView{Move: move, Revision: m.revision}
	close(m.changed)
	m.changed = make(chan struct{})
}

// PutDrain stores a drain as it is.
func (m *Mover) PutDrain(d nic.Drain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drains[d.Node] = d
}

// Plan has three steps, and what Refuse was given.
func (m *Mover) Plan(_ context.Context, r nic.MoveRequest) (nic.MovePlan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Kind, r.From = cmp.Or(r.Kind, nic.MoveContainer), cmp.Or(r.From, "n1")
	r.Options.Volumes, r.Options.Layer = cmp.Or(r.Options.Volumes, nic.CopyRefuse), cmp.Or(r.Options.Layer, nic.CopyRefuse)
	return nic.MovePlan{
		Request: r, Travel: "carry", Silence: nic.Duration(2500 * time.Millisecond), Refusals: slices.Clone(m.against),
		NICs: []nic.PlannedNIC{{Claim: "clm-00000000000000c1", NIC: "nic-00000000000000a1", Interface: "eth0", Network: "lab", Travel: "carry"}},
		Steps: []nic.PlannedStep{
			{Name: "image", About: "the image is copied to " + r.To, Expected: nic.Duration(2 * time.Second)},
			{Name: "stop", About: "the container is stopped on " + r.From, Expected: nic.Duration(2500 * time.Millisecond), Silent: true},
			{Name: "pivot", About: "the NICs are those of the container on " + r.To, Pivot: true},
		},
		Copies: []nic.PlannedCopy{{What: nic.StreamImage, Ref: "busybox", Bytes: 4 << 20, Pull: true}},
		Risks:  []string{"processes begin anew"},
	}, nil
}

// Begin stores a move with the plan's steps. The same request again is the same
// move while that goes on.
func (m *Mover) Begin(ctx context.Context, r nic.MoveRequest) (nic.Move, error) {
	plan, err := m.Plan(ctx, r)
	if err := cmp.Or(err, nic.MoveRefusals(plan.Refusals).Err()); err != nil {
		return nic.Move{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.moves {
		if v.Container == r.Container && v.To == r.To && !v.Phase.Over() {
			return v.Move, nil
		}
	}
	move := nic.Move{
		Schema: nic.Schema, ID: nic.NewMoveID(), Kind: plan.Request.Kind, Container: r.Container, Target: cmp.Or(r.Target, r.Container),
		From: plan.Request.From, To: r.To, Claims: []nic.ClaimID{"clm-00000000000000c1"}, Phase: nic.MoveForward, Options: plan.Request.Options, Created: time.Now().UTC(),
	}
	for _, s := range plan.Steps {
		move.Steps = append(move.Steps, nic.MoveStep{Name: s.Name, Pivot: s.Pivot})
	}
	m.put(move)
	return move, nil
}

// Moves returns all, oldest first.
func (m *Mover) Moves(context.Context) ([]nic.Move, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []nic.Move
	for _, v := range sorted(m.moves) {
		all = append(all, v.Move)
	}
	slices.SortStableFunc(all, func(a, b nic.Move) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// Move finds one.
func (m *Mover) Move(_ context.Context, id nic.MoveID) (nic.Move, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := find(m.moves, id, "move", nil)
	return v.Move, v.Revision, err
}

// WaitMove waits for another revision, and takes the next step of what Play was
// given.
func (m *Mover) WaitMove(ctx context.Context, id nic.MoveID, after uint64) (nic.Move, uint64, error) {
	for {
		m.mu.Lock()
		v, err := find(m.moves, id, "move", nil)
		if err == nil && v.Revision == after && len(m.script) > 0 {
			next := v.Move
			next.Steps = slices.Clone(next.Steps)
			m.script[0](&next)
			m.script = m.script[1:]
			m.put(next)
			v = m.moves[id]
		}
		changed := m.changed
		wait := err == nil && v.Revision == after
		if wait {
			m.waiting++
			close(m.came)
			m.came = make(chan struct{})
		}
		m.mu.Unlock()
		if !wait {
			return v.Move, v.Revision, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		m.mu.Lock()
		m.waiting--
		m.mu.Unlock()
		if err != nil {
			return nic.Move{}, 0, err
		}
	}
}

// AwaitWaiting returns once that many callers wait for moves, or when ctx ends.
func (m *Mover) AwaitWaiting(ctx context.Context, callers int) {
	for {
		m.mu.Lock()
		enough, came := m.waiting >= callers, m.came
		m.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-came:
		case <-ctx.Done():
			return
		}
	}
}

// Resume has a parked move go on.
func (m *Mover) Resume(_ context.Context, id nic.MoveID) (nic.Move, error) {
	return m.turn(id, func(move *nic.Move) error {
		if move.Phase == nic.MoveParked {
			move.Phase, move.Why, move.Remedy = nic.MoveForward, "", ""
		}
		return nil
	})
}

// Abort has a move go back. One that is done or finishing: refused.
func (m *Mover) Abort(_ context.Context, id nic.MoveID) (nic.Move, error) {
	return m.turn(id, func(move *nic.Move) error {
		switch move.Phase {
		case nic.MoveDone, nic.MoveFinishing:
			return &api.Error{Code: api.CodeRefused, Message: "move " + string(id) + " is beyond its pivot"}
		case nic.MoveForward, nic.MoveParked:
			move.Phase, move.Why = nic.MoveBack, "aborted by an operator"
		}
		return nil
	})
}

func (m *Mover) turn(id nic.MoveID, change func(*nic.Move) error) (nic.Move, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := find(m.moves, id, "move", nil)
	if err == nil {
		err = change(&v.Move)
	}
	if err == nil && m.lazy {
		return m.moves[id].Move, nil
	}
	if err == nil {
		m.put(v.Move)
	}
	return v.Move, err
}

// Drain stores one that has just begun, unless there is one.
func (m *Mover) Drain(_ context.Context, node string, r nic.DrainRequest) (nic.Drain, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.drains[node]
	if !ok {
		d = nic.Drain{Schema: nic.Schema, Node: node, Request: r, Phase: nic.DrainMoving, Created: time.Now().UTC()}
		m.drains[node] = d
	}
	return d, nil
}

// Undrain forgets one; none is not found.
func (m *Mover) Undrain(_ context.Context, node string) (nic.Drain, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := find(m.drains, node, "drain of node", nil)
	delete(m.drains, node)
	return d, err
}

// Drains returns all, by node.
func (m *Mover) Drains(context.Context) ([]nic.Drain, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sorted(m.drains), nil
}
