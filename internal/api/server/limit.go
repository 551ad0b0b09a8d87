package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// tellLimit is how often log and events say at most that a tenant, or a node, asks
// too much.
const tellLimit = time.Minute

// What one node may call whatever its tenant's quota: many times what an agent
// with a thousand NICs under lease does, and a burst as large as what it asks
// when it starts.
const (
	nodeRate  = 100 // per second
	nodeBurst = 500
)

// limits bound how often each node may call, and all nodes of a tenant where it
// has a quota.
type limits struct {
	tenants map[string]*limit // not changed

	mu    sync.Mutex
	nodes map[string]*nodeLimit // as many as have a certificate, or had a token
}

// nodeLimit is what one node may do.
type nodeLimit struct {
	limit
	load  load
	tells *rate.Limiter // events of what it is refused
}

type limit struct {
	rate *rate.Limiter
	mu   sync.Mutex
	told time.Time
}

// newLimits lets a second's worth of a tenant's quota come at once.
func newLimits(tenants []nic.Tenant) *limits {
	l := &limits{tenants: map[string]*limit{}, nodes: map[string]*nodeLimit{}}
	for _, t := range tenants {
		if n := t.Quota.Requests; n > 0 {
			l.tenants[t.Name] = &limit{rate: rate.NewLimiter(rate.Limit(n), n)}
		}
	}
	return l
}

// node is the limit of one node.
func (l *limits) node(name string) *nodeLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.nodes[name]
	if of == nil {
		of = &nodeLimit{limit: limit{rate: rate.NewLimiter(nodeRate, nodeBurst)}, tells: newTells()}
		l.nodes[name] = of
	}
	return of
}

// tell says whether it is time again to tell of the limit.
func (l *limit) tell(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.told) < tellLimit {
		return false
	}
	l.told = now
	return true
}

// from is whose turn a call is, and of which node: people's are nobody's.
func (s *server) from(ctx context.Context) (tenant, node string) {
	peer := peerOf(ctx)
	if peer.Role != mtls.Node {
		return "", ""
	}
	node = peer.Names[0]
	return s.tenantsOf(node)[0], node
}

// limit refuses a call that is beyond what its node may make, or its tenant's
// quota of requests. People's calls have none.
func (s *server) limit(ctx context.Context) error {
	tenant, node := s.from(ctx)
	if node == "" {
		return nil
	}
	if l := s.limits.node(node); !l.rate.Allow() {
		return s.tooMuch(ctx, &l.limit, "node calls more often than it may", tenant, node,
			fmt.Sprintf("node %s may make %d requests per second, and makes more", node, nodeRate))
	}
	l := s.limits.tenants[tenant]
	if l == nil || l.rate.Allow() {
		return nil
	}
	return s.tooMuch(ctx, l, "tenant calls more often than its quota allows", tenant, node,
		fmt.Sprintf("tenant %s may make %d requests per second, and makes more", tenant, l.rate.Burst()))
}

// tooMuch tells log and events, now and then, of a call beyond a limit, and is its
// answer.
func (s *server) tooMuch(ctx context.Context, l *limit, what, tenant, node, why string) error {
	if l.tell(time.Now()) {
		s.Log.WarnContext(ctx, what, slog.Bool("audit", true),
			slog.String("tenant", tenant), slog.String("node", node), slog.String("why", why))
		s.Events.Add(api.Event{Type: api.EventWarning, Reason: nic.ReasonQuotaExceeded, Tenant: tenant, Node: node, Message: why})
	}
	return later(why + "; again in a second")
}

// turn waits until the call may go on to the backend. leave is to be called
// after it.
func (s *server) turn(ctx context.Context) (leave func(), err error) {
	tenant, node := s.from(ctx)
	leave, err = s.turns.enter(ctx, tenant, node)
	if err == errCrowded {
		return nil, later(fmt.Sprintf("%d requests of node %s wait already; again in a second", maxWaiting, node))
	}
	return leave, err
}

// later is the answer to who asks too much: nothing was done, and it may be
// asked again.
func later(why string) error {
	return reply{wire: &api.Error{Code: api.CodeUnavailable, Message: why}, status: http.StatusTooManyRequests}
}
