package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

const (
	// moveWait is how long a call waits for a move to change.
	moveWait = 10 * time.Second
	// planWait is how long both nodes may take to say what they have.
	planWait = 25 * time.Second
	// maxContainer bounds a container's name or id, in bytes.
	maxContainer = 255
	// maxMoveTime bounds each time that the user of a move chooses.
	maxMoveTime = 24 * time.Hour
)

type moveInput struct{ Body nic.MoveRequest }

type waitMoveInput struct {
	ID    string `path:"id"`
	After uint64 `query:"after" doc:"Answer once the move has another revision than this, or after 10 s; 0 is at once."`
}

// moveRoutes are how people move containers, and look on.
func (s *server) moveRoutes() {
	plan := s.operation("plan-move", http.MethodPost, "/v1/moves/plan", "Say what a move would do, or all that stands against it")
	serveLong(s, plan, func(ctx context.Context, in *moveInput) (nic.MovePlan, error) {
		if err := checkMove(in.Body); err != nil {
			return nic.MovePlan{}, err
		}
		ctx, cancel := context.WithTimeout(ctx, planWait)
		defer cancel()
		return s.Mover.Plan(ctx, in.Body)
	})

	begin := s.operation("begin-move", http.MethodPost, "/v1/moves", "Move a container with its NICs, or these alone, to another node; it goes on by itself. The same again is the same move")
	serveLong(s, begin, func(ctx context.Context, in *moveInput) (nic.Move, error) {
		if err := checkMove(in.Body); err != nil {
			return nic.Move{}, err
		}
		ctx, cancel := context.WithTimeout(ctx, planWait)
		defer cancel()
		return s.Mover.Begin(ctx, in.Body)
	})

	list := s.operation("list-moves", http.MethodGet, "/v1/moves", "List moves, those under way and the last that have ended")
	serve(s, list, func(ctx context.Context, _ *none) (api.List[nic.Move], error) {
		moves, err := s.Mover.Moves(ctx)
		return api.NewList(moves, ""), err
	})

	get := s.operation("get-move", http.MethodGet, "/v1/moves/{id}", "Show a move, at once or when it has changed")
	serveLong(s, get, func(ctx context.Context, in *waitMoveInput) (api.MoveView, error) {
		id, err := nic.ParseMoveID(in.ID)
		if err != nil {
			return api.MoveView{}, notFound(err)
		}
		return s.awaitMove(ctx, id, in.After)
	})
	s.moveOrders()
}

// moveOrders are the routes that turn a move round.
func (s *server) moveOrders() {
	for _, order := range []struct {
		verb, summary string
		do            func(context.Context, nic.MoveID) (nic.Move, error)
	}{
		{"resume", "Have a parked move go on; one that goes on already is no error", s.Mover.Resume},
		{"abort", "Have a move put everything back; one that is beyond its pivot cannot", s.Mover.Abort},
	} {
		op := s.operation(order.verb+"-move", http.MethodPost, "/v1/moves/{id}/"+order.verb, order.summary)
		serve(s, op, func(ctx context.Context, in *idInput) (nic.Move, error) {
			id, err := nic.ParseMoveID(in.ID)
			if err != nil {
				return nic.Move{}, notFound(err)
			}
			return order.do(ctx, id)
		})
	}
}

// awaitMove is the move once its revision is another than after, or when the wait
// is over.
func (s *server) awaitMove(ctx context.Context, id nic.MoveID, after uint64) (api.MoveView, error) {
	if after > 0 {
		wait, stop := untilStopping(ctx)
		defer stop()
		wait, cancel := context.WithTimeout(wait, moveWait)
		defer cancel()
		m, revision, err := s.Mover.WaitMove(wait, id, after)
		if err == nil || wait.Err() == nil {
			return api.MoveView{Move: m, Revision: revision}, err
		}
	}
	m, revision, err := s.Mover.Move(ctx, id)
	return api.MoveView{Move: m, Revision: revision}, err
}

// checkMove refuses what can never be moved, before anybody is asked.
func checkMove(r nic.MoveRequest) error {
	var faults nic.Faults
	checkContainer(&faults, "body.container", r.Container)
	if r.From != "" {
		faults.AddErr("body.from", nic.CheckName("node", r.From))
	}
	faults.AddErr("body.to", nic.CheckName("node", r.To))
	switch r.Kind {
	case nic.MoveNIC:
		checkContainer(&faults, "body.target", r.Target)
	case "", nic.MoveContainer:
		if r.Target != "" {
			faults.Add("body.target", "is for moves of NICs alone: a container keeps its name")
		}
	default:
		faults.Add("body.kind", "%.80q: want %s or %s", r.Kind, nic.MoveContainer, nic.MoveNIC)
	}
	checkMoveOptions(&faults, "body.options.", r.Options)
	return faults.Err()
}

// checkContainer takes what Docker takes for a name or an id.
func checkContainer(faults *nic.Faults, field, name string) {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > maxContainer || !strings.Contains(first, name[:1]) || strings.Trim(name, first+"_.-") != "" {
		faults.Add(field, "%.80q is no name of a container", name)
	}
}

func checkMoveOptions(faults *nic.Faults, prefix string, o nic.MoveOptions) {
	for _, rule := range []struct {
		field string
		value nic.CopyRule
	}{{"volumes", o.Volumes}, {"layer", o.Layer}} {
		switch rule.value {
		case "", nic.CopyRefuse, nic.CopyCopy, nic.CopyIgnore:
		default:
			faults.Add(prefix+rule.field, "%.80q: want %s, %s or %s", rule.value, nic.CopyRefuse, nic.CopyCopy, nic.CopyIgnore)
		}
	}
	for _, t := range []struct {
		field string
		value nic.Duration
	}{{"wait", o.Wait}, {"grace", o.Grace}} {
		if t.value < 0 || t.value.D() > maxMoveTime {
			faults.Add(prefix+t.field, "%s: want up to %s", fmt.Sprint(t.value.D()), maxMoveTime)
		}
	}
}
