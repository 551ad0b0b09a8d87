package migrate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// What the orders of a step are called besides it.
const (
	sendWord = "-send"
	takeWord = "-take"
	pullWord = "image-pull"
)

// noteEvery is how often the journal hears how much is copied.
const noteEvery = time.Second

// grace of the second end of a stream, once the first has failed.
const secondEnd = 3 * time.Second

// A transfer is something that From sends and To takes.
type transfer struct {
	step       string
	part       int
	send, take nic.Task
	// before is how many bytes the step had copied before.
	before int64
}

// carry orders both ends of a stream together, and compares what they say of it.
// It returns the task of the one that takes.
func (s *stepper) carry(ctx context.Context, t transfer) (nic.Task, error) {
	m := s.journal.Move()
	name, end := s.Streams.Open(m.From, m.To)
	defer end()
	word := t.step + "-" + strconv.Itoa(t.part)
	t.send.Node, t.send.Stream = m.From, name
	t.take.Node, t.take.Stream = m.To, name
	take, err := s.give(ctx, t.step, word+takeWord, 2*t.part+1, t.take)
	if err != nil {
		return take, err
	}
	send, err := s.give(ctx, t.step, word+sendWord, 2*t.part, t.send)
	if err != nil {
		return take, err
	}
	send, take, err = s.awaitBoth(ctx, t, send, take, end)
	if err != nil {
		return take, err
	}
	sent, taken := send.Result.Copied, take.Result.Copied
	if taken != nil && (sent == nil || *sent != *taken) {
		return take, saga.Again(fmt.Errorf("what %s has taken of %s %s is not what %s has sent", m.To, t.send.What, t.send.Ref, m.From))
	}
	return take, nil
}

// awaitBoth waits for both ends. When one fails the stream is broken off, so that
// the other does too; the error is that of the one which is at fault.
func (s *stepper) awaitBoth(ctx context.Context, t transfer, send, take nic.Task, end func()) (nic.Task, nic.Task, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type ended struct {
		task nic.Task
		err  error
	}
	sends, takes := make(chan ended, 1), make(chan ended, 1)
	go func() {
		task, err := s.await(ctx, t.step, send, nil)
		sends <- ended{task, err}
	}()
	go func() {
		task, err := s.await(ctx, t.step, take, s.noter(ctx, t))
		takes <- ended{task, err}
	}()
	var errs []error
	for range 2 {
		var e ended
		select {
		case e = <-sends:
			send = e.task
		case e = <-takes:
			take = e.task
		}
		if e.err != nil {
			errs = append(errs, e.err)
			end()
			time.AfterFunc(secondEnd, cancel)
		}
	}
	return send, take, atFault(errs)
}

// atFault picks the error that says most: one that stays, before one that is only
// the other end's.
func atFault(errs []error) error {
	for _, err := range errs {
		if !saga.MayPass(err) && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	if len(errs) > 0 {
		return saga.Again(errs[0])
	}
	return nil
}

// noter notes now and then how much is copied.
func (s *stepper) noter(ctx context.Context, t transfer) func(nic.Task) {
	last := time.Now()
	return func(task nic.Task) {
		if task.Bytes == 0 || time.Since(last) < noteEvery {
			return
		}
		last = time.Now()
		_ = s.noteBytes(ctx, t.step, t.before+task.Bytes) // the next one says it too
	}
}

// noteBytes says how much a step has copied.
func (s *stepper) noteBytes(ctx context.Context, step string, bytes int64) error {
	return s.journal.Note(ctx, func(m *nic.Move) {
		for i := range m.Steps {
			if m.Steps[i].Name == step {
				m.Steps[i].Bytes, m.Steps[i].Total = bytes, max(bytes, m.Steps[i].Total)
			}
		}
	})
}
