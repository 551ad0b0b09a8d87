package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// parked are the moves that wait for an operator. A store that does not answer is
// told by the backend.
func (s *server) parked(ctx context.Context) (all []nic.Condition) {
	moves, err := s.Mover.Moves(ctx)
	if err != nil {
		return nil
	}
	for _, m := range moves {
		if m.Phase != nic.MoveParked {
			continue
		}
		since := m.Created
		for _, step := range m.Steps {
			for _, at := range []time.Time{step.Began, step.Ended} {
				if at.After(since) {
					since = at
				}
			}
		}
		all = append(all, nic.Condition{
			Reason: nic.ReasonMoveParked, Since: since,
			Message: fmt.Sprintf("%s, from %s to %s (%s): %s; to go on: %s", m.Container, m.From, m.To, m.ID, m.Why, m.Remedy),
		})
	}
	return all
}

// statusRoutes say who answers, and how it is.
func (s *server) statusRoutes() {
	version := s.operation("version", http.MethodGet, "/v1/version", "Say which program answers")
	serve(s, version, func(context.Context, *none) (api.Version, error) { return s.Version, nil })

	status := s.operation("status", http.MethodGet, "/v1/status", "Say what keeps the controller from its work, by name; no condition is well")
	serve(s, status, func(ctx context.Context, _ *none) (api.Status, error) {
		conditions := append([]nic.Condition{}, s.Backend.Status(ctx)...)
		conditions = append(conditions, s.parked(ctx)...)
		return api.Status{Version: s.Version, Conditions: conditions}, nil
	})
}
