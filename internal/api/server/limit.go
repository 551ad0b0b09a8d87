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

// tellLimit is how often the log says at most that a tenant asks too much.
const tellLimit = time.Minute

// limits bound how often each tenant's nodes may call, where it has a quota.
type limits struct {
	of map[string]*limit // by tenant; not changed
}

type limit struct {
	rate *rate.Limiter
	mu   sync.Mutex
	told time.Time
}

// newLimits lets a second's worth come at once.
func newLimits(tenants []nic.Tenant) limits {
	l := limits{of: map[string]*limit{}}
	for _, t := range tenants {
		if n := t.Quota.Requests; n > 0 {
			l.of[t.Name] = &limit{rate: rate.NewLimiter(rate.Limit(n), n)}
		}
	}
	return l
}

// from is whose turn a call is, and of which node: people's are nobody's.
func (s *server) from(ctx context.Context) (tenant, node string) {
	peer := peerOf(ctx)
	if peer.Role != mtls.Node {
		return "", ""
	}
	node = peer.Names[0]
	if s.TenantsOf != nil {
		if of := s.TenantsOf(node); len(of) > 0 {
			return of[0], node
		}
	}
	return nic.DefaultTenant, node
}

// limit refuses a call that is beyond its tenant's quota of requests.
func (s *server) limit(ctx context.Context) error {
	tenant, node := s.from(ctx)
	l := s.limits.of[tenant]
	if l == nil || l.rate.Allow() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.told) >= tellLimit {
		l.told = now
		s.Log.WarnContext(ctx, "tenant calls more often than its quota allows", slog.Bool("audit", true),
			slog.String("tenant", tenant), slog.String("node", node), slog.Int("quota", l.rate.Burst()))
	}
	return later(fmt.Sprintf("tenant %s may make %d requests per second, and makes more; again in a second", tenant, l.rate.Burst()))
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
