package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// redraw is how often a line is written anew whose step goes on.
const redraw = 100 * time.Millisecond

// follow shows how a move goes until it is over or parked, prints what came of it,
// and returns that as an error where it has not moved.
func (m *migrateCommand) follow(ctx context.Context, id nic.MoveID) error {
	c, err := m.open()
	if err != nil {
		return err
	}
	defer c.Close()
	waiting, cancel := within(ctx, m.limit)
	defer cancel()
	last, err := m.watched(waiting, c, id)
	switch {
	case waiting.Err() != nil && last.Phase == nic.MoveFinishing && ctx.Err() == nil:
		return m.verdict(last) // it has moved; what is left to do needs nobody
	case waiting.Err() != nil:
		return &goesOn{id: id, why: waiting.Err()}
	case err != nil:
		return err
	}
	return m.verdict(last)
}

// within bounds a wait; 0 is for ever.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// watched returns how the move was last seen; it is over or parked, unless there is
// an error.
func (m *migrateCommand) watched(ctx context.Context, c *client.Client, id nic.MoveID) (nic.Move, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	progress := newMoveProgress(m.app)
	defer progress.clear()
	changes, notes, ended := make(chan nic.Move), make(chan string), make(chan error, 1)
	go func() {
		ended <- c.FollowMove(ctx, id, client.MoveReader{
			Changed: func(v api.MoveView) bool {
				send(ctx, changes, v.Move)
				return !v.Phase.Over() && (v.Phase != nic.MoveParked || v.Revision == m.before)
			},
			Broke: func(err error) { send(ctx, notes, "connection lost, trying again; the move goes on: "+err.Error()) },
			Again: func() { send(ctx, notes, "connected again") },
		})
	}()
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case change := <-changes:
			progress.show(change)
		case text := <-notes:
			progress.note("%s", text)
		case <-tick.C:
			progress.draw()
		case err := <-ended:
			return progress.move, err
		}
	}
}

// send gives v to who takes it, unless ctx ends first.
func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// verdict prints what came of a move.
func (m *migrateCommand) verdict(last nic.Move) error {
	sentence, err := "", error(nil)
	switch last.Phase {
	case nic.MoveDone, nic.MoveFinishing:
		sentence = movedText(last)
	case nic.MoveUndone:
		sentence = fmt.Sprintf("%s is on %s as it was: %s", last.Container, last.From, last.Why)
		if m.abort == "" {
			err = errors.New(sentence)
		}
	case nic.MoveParked:
		err = fmt.Errorf("%s is parked on its way from %s to %s: %s\nto go on: %s", oneLine(last.Container), last.From, last.To, oneLine(last.Why), oneLine(last.Remedy))
	default:
		err = fmt.Errorf("move %s is %s", last.ID, last.Phase)
	}
	if err == nil || m.format != "text" {
		return errors.Join(m.printMove(last, sentence), err)
	}
	return err
}

// movedText is the one sentence at the end.
func movedText(m nic.Move) string {
	what, was := m.Container+" has", "was"
	if m.Kind == nic.MoveNIC {
		what, was = "the NICs of "+m.Container+" have", "were"
	}
	text := fmt.Sprintf("%s moved from %s to %s", what, m.From, m.To)
	if m.Target != m.Container {
		text += "/" + m.Target
	}
	if !m.Ended.IsZero() {
		text += " in " + seconds(m.Ended.Sub(m.Created))
	}
	if d, ok := silence(m); ok {
		text += fmt.Sprintf(", and %s unreachable for %.3fs", was, d.Seconds())
	}
	if m.Phase == nic.MoveFinishing {
		text += "; what is left to tidy up is done as soon as it can be"
	}
	return text + "."
}

// printMove prints a move as data, or a text for people.
func (m *migrateCommand) printMove(last nic.Move, text string) error {
	if m.format != "text" {
		return encode(m.out, m.format, last)
	}
	_, err := fmt.Fprintln(m.out, oneLine(text))
	return err
}

// goesOn ends a command whose move does not end with it. Without an id it may not
// even have begun.
type goesOn struct {
	id  nic.MoveID
	why error
}

func (e *goesOn) Error() string {
	first := "interrupted: "
	if errors.Is(e.why, context.DeadlineExceeded) {
		first = "not over yet: "
	}
	if e.id == "" {
		return first + "the move may have begun; nicferry get moves says so"
	}
	return fmt.Sprintf("%sthe move goes on without this command\nto watch it: nicferry migrate --watch %[2]s\nto undo it: nicferry migrate --abort %[2]s", first, e.id)
}

// Unwrap is why, for the exit code.
func (e *goesOn) Unwrap() error { return e.why }
