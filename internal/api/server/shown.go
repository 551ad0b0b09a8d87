package server

import (
	"context"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// shown are the ends of the certificates that nodes have shown last and that count.
// Each renewal writing them would be a commit for what is only looked at.
type shown struct {
	mu   sync.Mutex
	ends map[string]time.Time // as many as have a certificate
}

func newShown() *shown { return &shown{ends: map[string]time.Time{}} }

// note remembers whose certificate has been let through.
func (s *shown) note(peer mtls.Peer) {
	if peer.Role != mtls.Node || peer.Until.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, node := range peer.Names {
		s.ends[node] = peer.Until
	}
}

func (s *shown) of(node string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[node].UTC()
}

// nodeView is a node as it is described.
func (s *server) nodeView(ctx context.Context, name string) (api.NodeView, error) {
	node, err := s.Backend.Node(ctx, name)
	if err != nil {
		return api.NodeView{}, err
	}
	drains, err := s.Mover.Drains(ctx)
	return api.NodeView{Node: node, Tenants: s.tenantsOf(name), Drain: drainOf(drains, name), CertificateEnds: s.shown.of(name)}, err
}

// tenantsOf are a node's tenants, its own first.
func (s *server) tenantsOf(node string) []string {
	if s.TenantsOf != nil {
		if of := s.TenantsOf(node); len(of) > 0 {
			return of
		}
	}
	return []string{nic.DefaultTenant}
}
