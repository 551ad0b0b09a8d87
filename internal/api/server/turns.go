package server

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// errCrowded: as many calls of a node wait already as may.
var errCrowded = errors.New("crowded")

// How many calls are worked on, and wait.
const (
	// placesInAll is enough for the store to take many commits at once.
	placesInAll = 16
	// placesOfOne leaves some to the others: who comes seldom finds one free.
	placesOfOne = 12
	// maxWaiting is more than an agent asks at a time, which waits for answers.
	maxWaiting = 256
)

// turns lets calls through to the backend, a few at a time. Tenants take turns,
// and within one its nodes, so that whoever sends thousands waits for itself.
type turns struct {
	places, most, waiting int // in all, of one tenant, and waiting of one node

	mu      sync.Mutex // guards what follows
	running int
	lines   map[string]*line // by tenant, of those that run or wait
	order   []string         // tenants that wait; whose turn it is, first
}

// A line is one tenant's calls. Those of nobody in particular are people's.
type line struct {
	running int
	nodes   map[string][]chan struct{} // who waits, by node; a closed one may go
	order   []string                   // nodes that wait; whose turn it is, first
}

func newTurns() *turns {
	return &turns{places: placesInAll, most: placesOfOne, waiting: maxWaiting, lines: map[string]*line{}}
}

// enter waits for a turn, which leave ends. It returns errCrowded, or ctx's
// error.
func (t *turns) enter(ctx context.Context, tenant, node string) (leave func(), err error) {
	t.mu.Lock()
	l := t.lines[tenant]
	if l == nil {
		l = &line{nodes: map[string][]chan struct{}{}}
		t.lines[tenant] = l
	}
	leave = sync.OnceFunc(func() { t.leave(tenant) })
	if t.running < t.places && l.running < t.most && len(l.order) == 0 {
		t.running++
		l.running++
		t.mu.Unlock()
		return leave, nil
	}
	if node != "" && len(l.nodes[node]) >= t.waiting {
		t.mu.Unlock()
		return nil, errCrowded
	}
	mayGo := make(chan struct{})
	t.queue(tenant, l, node, mayGo)
	t.mu.Unlock()
	select {
	case <-mayGo:
		return leave, nil
	case <-ctx.Done():
	}
	if !t.giveUp(tenant, node, mayGo) {
		leave() // its turn came in the same moment
	}
	return nil, ctx.Err()
}

func (t *turns) queue(tenant string, l *line, node string, mayGo chan struct{}) {
	if len(l.order) == 0 {
		t.order = append(t.order, tenant)
	}
	if len(l.nodes[node]) == 0 {
		l.order = append(l.order, node)
	}
	l.nodes[node] = append(l.nodes[node], mayGo)
}

// giveUp takes a call out that waits; it says whether it still did.
func (t *turns) giveUp(tenant, node string, mayGo chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[tenant]
	if l == nil {
		return false
	}
	at := slices.Index(l.nodes[node], mayGo)
	if at < 0 {
		return false
	}
	l.nodes[node] = slices.Delete(l.nodes[node], at, at+1)
	if len(l.nodes[node]) == 0 {
		delete(l.nodes, node)
		l.order = slices.DeleteFunc(l.order, func(n string) bool { return n == node })
	}
	t.tidy(tenant, l)
	return true
}

// leave ends a turn, and lets those go whose it is now.
func (t *turns) leave(tenant string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[tenant]
	t.running--
	l.running--
	t.tidy(tenant, l)
	for passed := 0; t.running < t.places && passed < len(t.order); {
		next := t.order[0]
		t.order = append(t.order[1:], next)
		l := t.lines[next]
		if l.running >= t.most {
			passed++
			continue
		}
		passed = 0
		t.running++
		l.running++
		close(l.next())
		t.tidy(next, l)
	}
}

// next takes out whose turn it is; there must be one.
func (l *line) next() chan struct{} {
	node := l.order[0]
	l.order = l.order[1:]
	mayGo, rest := l.nodes[node][0], l.nodes[node][1:]
	if len(rest) == 0 {
		delete(l.nodes, node)
		return mayGo
	}
	l.nodes[node] = rest
	l.order = append(l.order, node)
	return mayGo
}

// tidy forgets what is over.
func (t *turns) tidy(tenant string, l *line) {
	if len(l.order) == 0 {
		t.order = slices.DeleteFunc(t.order, func(n string) bool { return n == tenant })
	}
	if len(l.order) == 0 && l.running == 0 {
		delete(t.lines, tenant)
	}
}
