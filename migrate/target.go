package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// targetsTried bounds how many nodes are tried for one container of a drain.
const targetsTried = 3

// A candidate is a node that may take a container of a drain.
type candidate struct {
	node string
	free int // claims that it could still take
	load int // claims that are there or on their way
}

// send begins the move of one container of a drain, to the node with the most
// room that takes it. If none does, the error is all their reasons.
func (m *Mover) send(ctx context.Context, d nic.Drain, claims []nic.Claim) (nic.Move, error) {
	candidates, refusals, err := m.candidates(ctx, d, claims)
	if err != nil {
		return nic.Move{}, err
	}
	for i, c := range candidates {
		if i == targetsTried {
			break
		}
		move, err := m.start(ctx, nic.MoveRequest{
			Kind: nic.MoveContainer, Container: claims[0].Owner.Sandbox, From: d.Node, To: c.node, Options: d.Request.Options,
		}, true)
		against := nic.AsMoveRefusals(err)
		if against == nil {
			return move, err
		}
		refusals = append(refusals, against...)
	}
	if len(refusals) == 0 {
		refusals = []nic.MoveRefusal{{
			About: aboutNode, Why: "there is no other node to take it", Remedy: "nicferry get nodes shows those that there are",
		}}
	}
	return nic.Move{}, unique(refusals)
}

// candidates are the nodes that have room for the claims, the best first, and what
// stands against the others.
func (m *Mover) candidates(ctx context.Context, d nic.Drain, claims []nic.Claim) ([]candidate, []nic.MoveRefusal, error) {
	nodes, err := m.opts.Claims.Nodes(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list nodes: %w", err)
	}
	drains, err := m.Drains(ctx)
	if err != nil {
		return nil, nil, err
	}
	var all []candidate
	var refusals, unfit []nic.MoveRefusal
	for _, n := range nodes {
		if n.Name == d.Node || len(d.Request.To) > 0 && !slices.Contains(d.Request.To, n.Name) {
			continue
		}
		if against := m.unfit(n, drains); against != nil {
			unfit = append(unfit, against...)
			continue
		}
		room, err := m.opts.Claims.MoveRoom(ctx, claimIDs(claims), n.Name)
		if err != nil {
			return nil, nil, fmt.Errorf("find out what room there is on %s: %w", n.Name, err)
		}
		if len(room.Refusals) > 0 {
			refusals = append(refusals, room.Refusals...)
			continue
		}
		load, err := m.load(ctx, n.Name)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, candidate{node: n.Name, free: room.Free, load: load})
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.free, a.free), cmp.Compare(a.load, b.load))
	})
	if len(all)+len(refusals) == 0 {
		refusals = unfit // else there is no need to know
	}
	return all, refusals, nil
}

// unfit is why a node takes nothing at all.
func (m *Mover) unfit(n nic.Node, drains []nic.Drain) []nic.MoveRefusal {
	p := planner{in: Facts{To: &n}, plan: nic.MovePlan{Request: nic.MoveRequest{To: n.Name}}}
	for _, d := range drains {
		p.in.Draining = append(p.in.Draining, d.Node)
	}
	p.target()
	return p.plan.Refusals
}

// load is how many claims are on a node or on their way there.
func (m *Mover) load(ctx context.Context, node string) (int, error) {
	there, err := m.opts.Claims.OnNode(ctx, node)
	if err != nil {
		return 0, fmt.Errorf("list the claims on %s: %w", node, err)
	}
	moves, err := m.Moves(ctx)
	load := len(there)
	for _, move := range moves {
		if move.To == node && !move.Phase.Over() {
			load += len(move.Claims)
		}
	}
	return load, err
}

// unique leaves out reasons that were given before.
func unique(refusals []nic.MoveRefusal) nic.MoveRefusals {
	var all nic.MoveRefusals
	for _, r := range refusals {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}
