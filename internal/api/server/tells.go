package server

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// How many events one node may cause by what it is refused, and by tokens that let
// nobody in all that try together. The log has a line for each; the events are few,
// and what has happened to others would be driven out.
const (
	tellEvery = 10 * time.Second
	tellBurst = 100
)

// How many lines the log has of those who have shown nothing, which anybody could
// fill: what logs lines keeps so many of a service's for a time, and drops the
// others, whosever they are. What is beyond is told at level debug.
const (
	noiseEvery = 100 * time.Millisecond
	noiseBurst = 200
)

func newNoise() *rate.Limiter { return rate.NewLimiter(rate.Every(noiseEvery), noiseBurst) }

func newTells() *rate.Limiter { return rate.NewLimiter(rate.Every(tellEvery), tellBurst) }

// tellRefused has the events tell of a refused call. What nobody calls is none.
func (s *server) tellRefused(peer mtls.Peer, operation, why string) {
	refused := api.Event{Type: api.EventWarning, Reason: reasonCallRefused, Message: why}
	tells := s.tells
	switch {
	case operation == joinOperation:
		refused.Reason = reasonTokenRefused
	case peer.Role == mtls.Nobody:
		return
	case peer.Role == mtls.Node && len(peer.Names) > 0:
		refused.Node = peer.Names[0]
		tells = s.limits.node(peer.Names[0]).tells
	default: // a person's
		tells = nil
	}
	if tells == nil || tells.Allow() {
		s.Events.Add(refused)
	}
}

// tellRefusedToken is tellRefused for a token that was made here, of which a node has
// few: they are counted as its own, and those of whoever guesses do not hide them.
func (s *server) tellRefusedToken(t *api.TokenRefusal) {
	if s.limits.node(t.Node).tells.Allow() {
		s.Events.Add(api.Event{
			Type: api.EventWarning, Reason: reasonTokenRefused, Node: t.Node, Message: fmt.Sprintf("token %s: %s", t.ID, t),
		})
	}
}
