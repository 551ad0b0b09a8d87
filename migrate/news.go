package migrate

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// The reasons of events of moves.
const (
	newsBegun    nic.Reason = "MoveBegun"
	newsStep     nic.Reason = "MoveStepDone"
	newsFailed   nic.Reason = "MoveStepFailed"
	newsStepBack nic.Reason = "MoveStepUndone"
	newsBack     nic.Reason = "MoveGoesBack"
	newsForward  nic.Reason = "MoveGoesOn"
	newsMoved    nic.Reason = "ContainerMoved"
	newsParked   nic.Reason = "MoveParked"
	newsDone     nic.Reason = "MoveDone"
	newsUndone   nic.Reason = "MoveUndone"
	newsDrain    nic.Reason = "NodeDraining"
	newsDrained  nic.Reason = "NodeDrained"
	newsStopped  nic.Reason = "DrainStopped"
	newsUndrain  nic.Reason = "NodeUndrained"
)

// copying are the steps that carry bytes, with what these are.
var copying = map[string]nic.StreamWhat{
	StepImage: nic.StreamImage, StepVolumes: nic.StreamVolume, StepLayer: nic.StreamLayer,
}

// tell says what is new in a move's record. tried is when the try of the step at
// work began.
func (m *Mover) tell(was, now nic.Move, tried time.Time) {
	n := news{m: m, move: now, took: time.Since(tried)}
	for i, s := range now.Steps {
		n.step(was.Steps[i], s)
	}
	if now.Phase != was.Phase {
		n.phase(was.Phase)
	}
}

// fresh says whether a try of a step begins or ends with this record.
func fresh(was, now nic.Move) bool {
	for i, s := range now.Steps {
		if before := was.Steps[i]; s.Tries != before.Tries || s.State != before.State || s.Error != before.Error {
			return true
		}
	}
	return false
}

// news are what one writing of a move's record tells.
type news struct {
	m    *Mover
	move nic.Move
	took time.Duration
}

func (n news) step(was, now nic.MoveStep) {
	observer := n.m.opts.Observer
	switch {
	case now.Error != "" && now.Error != was.Error: // what stays the same is told once
		observer.MoveStepped(now.Name, "failed", n.took)
		n.add(slog.LevelWarn, newsFailed, fmt.Sprintf("step %s: %s", now.Name, now.Error), "step", now.Name, "took", n.took)
	case now.State == was.State:
		return
	case now.State == nic.StepDone:
		observer.MoveStepped(now.Name, "ok", n.took)
		if what := copying[now.Name]; what != "" && now.Bytes > 0 {
			observer.MoveCopied(string(what), now.Bytes)
		}
		n.add(slog.LevelInfo, newsStep, fmt.Sprintf("step %s is done", now.Name), "step", now.Name, "took", n.took)
	case now.State == nic.StepUndone:
		observer.MoveStepped(now.Name, "undone", n.took)
		n.add(slog.LevelInfo, newsStepBack, fmt.Sprintf("step %s is undone", now.Name), "step", now.Name, "took", n.took)
	}
}

func (n news) phase(was nic.MovePhase) {
	move := n.move
	switch move.Phase {
	case nic.MoveForward:
		n.add(slog.LevelInfo, newsForward, "it goes on")
	case nic.MoveBack:
		n.add(slog.LevelWarn, newsBack, "it goes back: "+move.Why)
	case nic.MoveParked:
		n.m.opts.Observer.Moved(string(move.Phase))
		n.add(slog.LevelError, newsParked, fmt.Sprintf("it goes neither way without an operator: %s; %s", move.Why, move.Remedy))
	case nic.MoveUndone:
		n.m.opts.Observer.Moved(string(move.Phase))
		n.add(slog.LevelWarn, newsUndone, fmt.Sprintf("all is as it was, on %s: %s", move.From, move.Why))
	case nic.MoveFinishing, nic.MoveDone:
		if was != nic.MoveFinishing {
			n.moved()
		}
		if move.Phase == nic.MoveDone {
			n.m.opts.Observer.Moved(string(move.Phase))
			n.add(slog.LevelInfo, newsDone, fmt.Sprintf("nothing of it is left on %s that should not be", move.From))
		}
	}
}

// moved tells that the pivot is done.
func (n news) moved() {
	text := fmt.Sprintf("it is on %s", n.move.To)
	if silence := n.move.SilentTo.Sub(n.move.SilentFrom); !n.move.SilentFrom.IsZero() && silence > 0 {
		n.m.opts.Observer.MoveSilent(silence)
		text += fmt.Sprintf(", and answered nobody for %v", silence.Round(time.Millisecond))
	}
	n.add(slog.LevelInfo, newsMoved, text)
}

// add logs and records one thing. A move has one line for all of its claims.
func (n news) add(level slog.Level, reason nic.Reason, text string, more ...any) {
	move := n.move
	e := api.Event{
		Type: api.EventNormal, Reason: reason, Move: move.ID, Node: move.From, Container: move.Container, Tenant: move.Tenant,
		Message: fmt.Sprintf("move of %s from %s to %s: %s", move.Container, move.From, move.To, text),
	}
	if level >= slog.LevelWarn {
		e.Type = api.EventWarning
	}
	if len(move.Claims) > 0 {
		e.Claim = move.Claims[0]
	}
	n.m.opts.Events.Add(e)
	n.m.log(move).Log(bare, level, "move", append([]any{"reason", string(reason), "says", text}, more...)...)
}

// log is the log of one move.
func (m *Mover) log(move nic.Move) *slog.Logger {
	return m.opts.Log.With("move", string(move.ID), "claims", move.Claims, "container", move.Container, "from", move.From, "to", move.To)
}
