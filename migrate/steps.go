package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// Parts are the rooms that a move's steps work with.
type Parts struct {
	Claims  Claims  // required
	Orders  Orders  // required
	Streams Streams // required
}

// A Journal is the record of one move.
type Journal interface {
	// Move is the record as it was last stored.
	Move() nic.Move
	// Note changes the record, and returns when that is stored. It may be called
	// from several goroutines.
	Note(ctx context.Context, change func(*nic.Move)) error
}

// The times that nodes are given. What is copied has more.
const (
	// answerWithin is how long an agent may take to begin an order.
	answerWithin = 8 * time.Second
	// silentFor is how long an agent may say nothing of an order that it has begun. It
	// gives a sign of life every 3 s.
	silentFor = 10 * time.Second
	// speaksFor is how long after such a sign its machine is not taken for off.
	speaksFor = 5 * time.Second
	// sayWithin is how much longer than it may take an agent may need to say how an
	// order that it has begun went.
	sayWithin = 3 * time.Second
	// quickly is how long the engine may take for what is done at once.
	quickly = 15 * time.Second
	// slack is what a step has besides the time that its order has, so that the
	// order's own end is what is told.
	slack = answerWithin + sayWithin + time.Second
	// ordered is how long a step has for an order of what is done at once, from when it
	// is given until its end is told: as long on the way back as on the way there. An
	// engine that has just been started may need it.
	ordered = quickly + slack
	// undoQuickly is how long is tried again to take something back that is done at once.
	undoQuickly = 12 * time.Second
	// killWithin is what the engine needs besides a container's grace to end it.
	killWithin = 8 * time.Second
	// slowest is how many bytes a second are copied at least.
	slowest = 4 << 20
	// lookEvery is how often it is looked whether a wait is in vain.
	lookEvery = time.Second
	// forEver is the deadline of one try of what is tried without end.
	forEver = time.Hour
)

// Steps are those of a move's record, in its order. One that is not known is left
// out, which the saga refuses.
func Steps(parts Parts, journal Journal) []saga.Step[nic.Move] {
	s := &stepper{Parts: parts, journal: journal}
	known := map[string]saga.Step[nic.Move]{
		StepFence:       {Do: s.fence, Undo: s.unfence, Deadline: within(quickly), UndoDeadline: within(undoQuickly), Remedy: s.remedy("the controller's store takes records")},
		StepRestartsOff: {Do: s.restartsOff, Undo: again(undoQuickly, s.undoRestartsOff), UndoDeadline: within(2 * ordered), Remedy: s.remedyAt(fromOf)},
		StepImage:       {Do: s.image, Undo: s.settles(StepImage), Deadline: s.copying(StepImage, 2)},
		StepCreate:      {Do: s.create, Undo: again(undoQuickly, s.uncreate), Deadline: within(ordered), UndoDeadline: within(ordered), Remedy: s.remedyAt(toOf)},
		StepAim:         {Do: s.aim, Deadline: within(quickly)},
		StepReserve:     {Do: s.reserve, Deadline: within(2 * providerPatience)},
		StepStop:        {Do: s.stop, Undo: again(2*undoQuickly-nodePatience, s.unstop), Deadline: s.stopping(slack), UndoDeadline: within(ordered + nodePatience), Remedy: s.remedyAt(fromOf)},
		StepVolumes:     {Do: s.volumes, Undo: s.settles(StepVolumes), Deadline: s.copying(StepVolumes, 1)},
		StepLayer:       {Do: s.layer, Undo: s.settles(StepLayer), Deadline: s.copying(StepLayer, 1)},
		StepNICOut:      {Do: s.nicOut, Undo: s.nicBack, Deadline: within(providerPatience), UndoDeadline: within(2 * providerPatience), Remedy: s.remedyAt(bothOf)},
		StepStart:       {Do: s.start, Undo: s.unstart, Deadline: within(ordered), UndoDeadline: s.stopping(slack), Remedy: s.remedyAt(toOf)},
		StepNICIn:       {Do: s.nicIn, Deadline: within(2 * providerPatience)},
		StepHealth:      {Do: s.health, Undo: s.settles(StepHealth), Deadline: s.healing},
		StepPivot:       {Do: s.pivot, Undo: s.unpivot, Pivot: true, Deadline: within(undoQuickly), UndoDeadline: within(undoQuickly), Remedy: s.remedy("the controller's store takes records")},
		StepRestartsOn:  {Do: s.restartsOn, Deadline: within(forEver)},
		StepDrop:        {Do: s.drop, Deadline: within(forEver)},
	}
	var steps []saga.Step[nic.Move]
	for _, journaled := range journal.Move().Steps {
		if step, ok := known[journaled.Name]; ok {
			step.Name = journaled.Name
			steps = append(steps, step)
		}
	}
	return steps
}

// A stepper does the steps of one move.
type stepper struct {
	Parts
	journal Journal
}

// again is an Undo that is tried again for so long: what begins within that time, as an
// order that an engine takes its time for, has until the step's UndoDeadline.
func again(d time.Duration, undo func(context.Context, *nic.Move) error) func(context.Context, *nic.Move) error {
	var since time.Time
	return func(ctx context.Context, m *nic.Move) error {
		if since.IsZero() {
			since = time.Now()
		}
		err := undo(ctx, m)
		if err != nil && ctx.Err() == nil && time.Since(since) >= d {
			err = saga.Final(err)
		}
		return err
	}
}

func within(d time.Duration) func(*nic.Move) time.Duration { return saga.Within[nic.Move](d) }

// copying is the deadline of a step that copies, and may do so in several ways one
// after the other.
func (s *stepper) copying(step string, ways time.Duration) func(*nic.Move) time.Duration {
	return func(m *nic.Move) time.Duration { return ways*copyTime(copied(m.Copies, step)) + slack }
}

// copyTime is how long copying may take.
func copyTime(bytes int64) time.Duration {
	return 20*time.Second + time.Duration(bytes/slowest)*time.Second
}

// stopping is the deadline of what waits for a container to end.
func (s *stepper) stopping(more time.Duration) func(*nic.Move) time.Duration {
	return func(m *nic.Move) time.Duration { return stopTime(*m) + more }
}

// stopTime is how long stopping may take: its grace, and what the engine needs to
// kill it then.
func stopTime(m nic.Move) time.Duration { return m.Grace.D() + killWithin }

func (s *stepper) healing(m *nic.Move) time.Duration { return m.Options.Wait.D() + slack }

func fromOf(m nic.Move) string { return "the agent of " + m.From + " answers" }
func toOf(m nic.Move) string {
	return "the agent of " + m.To + " answers, or its machine is off"
}

func bothOf(m nic.Move) string {
	return "the agents of " + m.From + " and " + m.To + " answer, or the machine of " + m.To + " is off"
}

// remedyAt says how an operator leads a parked move on.
func (s *stepper) remedyAt(when func(nic.Move) string) func(*nic.Move) string {
	return func(m *nic.Move) string {
		return fmt.Sprintf("nicferry migrate --abort %s as soon as %s", m.ID, when(*m))
	}
}

func (s *stepper) remedy(when string) func(*nic.Move) string {
	return s.remedyAt(func(nic.Move) string { return when })
}
