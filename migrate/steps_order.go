package migrate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// A deadError is a node on which nothing can run, as is known.
type deadError struct {
	node, why string
	session   uint64 // the newest of its agents from before that was known
}

func (e *deadError) Error() string {
	return fmt.Sprintf("nothing can run on %s: %s", e.node, e.why)
}

// A goneError is a container that does not exist.
type goneError struct{ error }

// errSilent: an agent does not begin an order, or does not say how it went.
var errSilent = errors.New("its agent does not answer")

// tries is how often a step was begun, forward and back.
func tries(m nic.Move, step string) int {
	for _, s := range m.Steps {
		if s.Name == step {
			return max(s.Tries, 1)
		}
	}
	return 1
}

// taskID names an order of one try of a step; word is the step's name and, where
// it gives several, what tells them apart.
func taskID(move nic.MoveID, word string, try int) nic.TaskID {
	return nic.TaskID(fmt.Sprintf("%s.%s.%d", move, word, try))
}

// stamp fills in what all tasks of this try of a step have. Seq grows with every
// try of any step, so that a node never carries out an older order after a newer.
func (s *stepper) stamp(step, word string, part int, task nic.Task) nic.Task {
	m := s.journal.Move()
	begun := 0
	for _, each := range m.Steps {
		begun += each.Tries
	}
	task.Schema, task.Move, task.State, task.Created = nic.Schema, m.ID, nic.TaskPending, time.Now()
	task.ID = taskID(m.ID, word, tries(m, step))
	task.Seq = uint64(begun)*1000 + uint64(part)
	task.Claims = m.Claims
	return task
}

// order gives a node one task for this try of the step, and waits until it is
// done. What was ordered by tries before and has not begun never runs.
func (s *stepper) order(ctx context.Context, step, word string, task nic.Task) (nic.Task, error) {
	return s.orderPart(ctx, step, word, 0, task)
}

func (s *stepper) orderPart(ctx context.Context, step, word string, part int, task nic.Task) (nic.Task, error) {
	task, err := s.give(ctx, step, word, part, task)
	if err != nil {
		return task, err
	}
	return s.await(ctx, step, task, nil)
}

// give gives a task and does not wait.
func (s *stepper) give(ctx context.Context, step, word string, part int, task nic.Task) (nic.Task, error) {
	task = s.stamp(step, word, part, task)
	m := s.journal.Move()
	if _, err := s.withdraw(ctx, word, tries(m, step)-1, false); err != nil {
		return task, err
	}
	if err := s.Orders.Order(ctx, task); err != nil {
		return task, saga.Again(fmt.Errorf("order %s of %s on %s: %w", task.Kind, m.ID, task.Node, err))
	}
	return task, nil
}

// withdraw cancels what was ordered under a word by tries up to last and has not
// begun, the latest first, and says whether any had begun. Where only the latest
// counts, it stops at that.
func (s *stepper) withdraw(ctx context.Context, word string, last int, all bool) (began bool, err error) {
	for try := last; try > 0; try-- {
		task, err := s.Orders.Cancel(ctx, taskID(s.journal.Move().ID, word, try))
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return began, saga.Again(fmt.Errorf("cancel an order: %w", err))
		}
		began = began || task.State != nic.TaskCancelled
		if !all {
			break
		}
	}
	return began, nil
}

// settle ends all that a step has ordered under these words and no node has begun.
// It says whether one had begun any.
func (s *stepper) settle(ctx context.Context, step string, words ...string) (began bool, err error) {
	if len(words) == 0 {
		words = []string{step}
	}
	for _, word := range words {
		some, err := s.withdraw(ctx, word, tries(s.journal.Move(), step), true)
		if err != nil {
			return began, err
		}
		began = began || some
	}
	return began, nil
}

// settles is the Undo of a step whose effects need not be taken back.
func (s *stepper) settles(step string) func(context.Context, *nic.Move) error {
	return func(ctx context.Context, _ *nic.Move) error {
		_, err := s.settle(ctx, step, s.wordsOf(step)...)
		return err
	}
}

// wordsOf are those under which a step that copies gives its orders.
func (s *stepper) wordsOf(step string) []string {
	words := []string{step}
	if step == StepImage {
		words = append(words, pullWord)
	}
	for i := range max(1, len(s.journal.Move().Copies)) {
		part := step + "-" + strconv.Itoa(i)
		words = append(words, part+sendWord, part+takeWord)
	}
	return words
}

// await waits until a task is done. It ends early with a *deadError if nothing can
// run on the node any more, and with errSilent if the node does not begin.
func (s *stepper) await(ctx context.Context, step string, task nic.Task, told func(nic.Task)) (nic.Task, error) {
	watched, stop := context.WithCancelCause(ctx)
	var heard atomic.Pointer[time.Time]
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop(nil)
	watching.Go(func() { s.watch(watched, stop, task, &heard) })
	over, err := s.Orders.Await(watched, task.ID, func(t nic.Task) {
		if t.State != nic.TaskPending {
			now := time.Now()
			heard.Store(&now)
		}
		if told != nil {
			told(t)
		}
	})
	if err != nil {
		return task, s.unsaid(ctx, watched, task, err)
	}
	return over, verdict(over)
}

// unsaid is why nobody has said how a task went.
func (s *stepper) unsaid(ctx, watched context.Context, task nic.Task, err error) error {
	cause := context.Cause(watched)
	var dead *deadError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s on %s: %w", task.Kind, task.Node, err)
	case errors.As(cause, &dead):
		// The machine may be on again soon, and its agent must not go on with what the
		// one before has begun: by then the container runs elsewhere.
		if err := s.Orders.Bury(ctx, task.Move, dead.node, dead.session); err != nil {
			return saga.Again(fmt.Errorf("%s on %s: end its orders, as nothing runs there: %w", task.Kind, task.Node, err))
		}
		return fmt.Errorf("%s on %s: %w", task.Kind, task.Node, cause)
	case errors.Is(cause, errSilent):
		return fmt.Errorf("%s on %s: %w", task.Kind, task.Node, cause)
	}
	return saga.Again(fmt.Errorf("%s on %s: %w", task.Kind, task.Node, err))
}

// watch ends a wait for a node that is dead, that does not begin, or that does not
// say how it went. Beyond the pivot there is no way back that a silent node would
// have to take, and it is waited for, which the record then says.
func (s *stepper) watch(ctx context.Context, stop context.CancelCauseFunc, task nic.Task, heard *atomic.Pointer[time.Time]) {
	given, began, shown := time.Now(), time.Time{}, false
	lookAgain(ctx, func() (over bool) {
		last := heard.Load()
		if began.IsZero() && last != nil {
			began = time.Now()
		}
		waits := time.Since(given)
		switch {
		case passed(s.journal.Move()):
			shown = shown || s.awaited(ctx, task, given, heard)
		case last == nil && waits >= answerWithin:
			stop(fmt.Errorf("not begun within %v: %w", answerWithin, errSilent))
			return true
		case last != nil && time.Since(*last) >= silentFor:
			stop(fmt.Errorf("begun %v ago, and nothing said of it for %v: %w", time.Since(began).Round(time.Second), silentFor, errSilent))
			return true
		case last != nil && time.Since(began) >= task.Within.D()+sayWithin:
			stop(fmt.Errorf("begun %v ago, and not ended: %w", time.Since(began).Round(time.Second), errSilent))
			return true
		}
		if waits < 2*lookEvery || last != nil && time.Since(*last) < speaksFor {
			return false // most are over by then; and who speaks is not dead, whatever a provider says
		}
		if dead := s.deadly(ctx, task.Node); dead != nil {
			stop(dead)
			return true
		}
		return false
	})
}

// lookAgain looks every while until it is over or ctx ends.
func lookAgain(ctx context.Context, look func() (over bool)) {
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		if look() {
			return
		}
	}
}

// deadly is the error of a node on which nothing can run; nil if that is not known.
func (s *stepper) deadly(ctx context.Context, node string) *deadError {
	// Before: an agent that starts later is another. One that is not known has none.
	record, _ := s.Claims.Node(ctx, node)
	why, dead, err := s.Claims.Dead(ctx, node)
	if err != nil || !dead {
		return nil
	}
	return &deadError{node, why, record.Session}
}

// verdict is how a task went.
func verdict(t nic.Task) error {
	switch {
	case t.State == nic.TaskDone:
		return nil
	case t.State == nic.TaskCancelled:
		return saga.Again(fmt.Errorf("%s on %s was cancelled", t.Kind, t.Node))
	}
	err := fmt.Errorf("%s on %s: %s", t.Kind, t.Node, t.Error)
	if t.Result.Gone {
		return goneError{err}
	}
	if t.Result.Again {
		return saga.Again(err)
	}
	return err
}

// gone: the task failed since its container does not exist.
func gone(err error) bool {
	_, ok := errors.AsType[goneError](err)
	return ok
}

// dead: it failed since nothing can run on its node.
func dead(err error) bool {
	_, ok := errors.AsType[*deadError](err)
	return ok
}

// parks marks the error of an Undo that trying again does not mend: a node does not
// answer. Somebody has to see to that.
func parks(err error) error {
	if dead(err) || errors.Is(err, errSilent) || errors.Is(err, errStuck) {
		return saga.Final(err)
	}
	return err
}

// passed says whether the move is beyond its pivot.
func passed(m nic.Move) bool { return m.Phase == nic.MoveFinishing }
